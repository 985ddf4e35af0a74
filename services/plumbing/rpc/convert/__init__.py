"""Values of the port to messages of restante.v1 and back, a file for each noun.

The rule: conversion loses nothing, and what a program sends is checked here, with the port's refusals.
"""
