// A mail program's day with imapflow; what it saw is printed as JSON. Arguments: port, login, password.
import { ImapFlow } from "imapflow";

const [port, user, pass] = process.argv.slice(2);
const options = { host: "127.0.0.1", port: Number(port), secure: false, doSTARTTLS: false, auth: { user, pass }, logger: false };
const letter = (subject) =>
  `From: bob@example.org\r\nTo: eve@example.org\r\nSubject: ${subject}\r\n\r\nThis is ${subject}.\r\n`;
const found = {};

const client = new ImapFlow({ ...options, qresync: true });
await client.connect();
const listed = await client.list();
found.uses = Object.fromEntries(
  listed.filter((each) => ["Sent", "Trash"].includes(each.path)).map((each) => [each.path, each.specialUse]),
);

await client.mailboxCreate("flow");
for (const subject of ["one", "two", "three"]) await client.append("flow", letter(subject));

let lock = await client.getMailboxLock("flow");
found.enabled = [...client.enabled];
const vanished = [];
client.on("expunge", (event) => vanished.push(event.uid ?? event.seq));
found.subjects = [];
for await (const message of client.fetch("1:*", { envelope: true, bodyStructure: true, flags: true }))
  found.subjects.push(message.envelope.subject);
const second = await client.fetchOne("2", { source: true });
found.source = second.source.toString();

const before = client.mailbox.highestModseq;
await client.messageFlagsAdd("1", ["\\Seen", "\\Flagged"], { uid: true });
const one = await client.fetchOne("1", { flags: true }, { uid: true });
found.flags = [...one.flags].filter((flag) => flag !== "\\Recent").sort();
found.changed = [];
for await (const message of client.fetch("1:*", { uid: true, flags: true }, { changedSince: before }))
  found.changed.push(message.uid);

await client.mailboxCreate("flowed");
const moved = await client.messageMove("2", "flowed", { uid: true });
found.moved = Object.fromEntries(moved.uidMap);
vanished.length = 0;
await client.messageDelete("1", { uid: true });
found.vanished = [...vanished];
found.left = await client.search({ all: true }, { uid: true });

const news = new Promise((resolve) => client.once("exists", (event) => resolve(event.count)));
client.idle();
const other = new ImapFlow(options);
await other.connect();
await other.append("flow", letter("four"));
await other.logout();
found.news = await news;
lock.release();
await client.logout();
console.log(JSON.stringify(found));
