"""docs/errors.md."""

from tests.docs.errors import PAGE, render


def test_the_page_of_errors_is_what_the_table_says() -> None:
    """Run `make docs` where this fails."""
    assert PAGE.read_text(encoding="utf-8") == render()
