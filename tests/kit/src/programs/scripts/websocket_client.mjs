// What a WebSocket carries, told as JSON, with the package ws or, without it, with what is built
// into Node: URL, and the folder that ws is in.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

const [url, folder] = process.argv.slice(2);
const installed = existsSync(`${folder}/node_modules/ws`);
const WebSocket = installed ? createRequire(`${folder}/`)('ws') : globalThis.WebSocket;
if (!WebSocket) {
  console.log(JSON.stringify({ skipped: 'neither the package ws nor a WebSocket built into Node' }));
  process.exit(0);
}

const open = () => new Promise((resolve, reject) => {
  const socket = new WebSocket(url, ['chat.v1']);
  socket.binaryType = 'arraybuffer';
  const waiting = [];
  const arrived = [];
  socket.onmessage = ({ data }) => (waiting.length ? waiting.shift()(data) : arrived.push(data));
  socket.next = () => new Promise((take) => (arrived.length ? take(arrived.shift()) : waiting.push(take)));
  socket.closed = new Promise((take) => { socket.onclose = ({ code, reason }) => take([code, reason]); });
  socket.onopen = () => resolve(socket);
  socket.onerror = ({ message }) => reject(new Error(message));
});

const told = {};
const socket = await open();
told.subprotocol = socket.protocol;
const texts = ['one', '', 'grüße'];
for (const text of texts) socket.send(text);
told.texts = [await socket.next(), await socket.next(), await socket.next()];
socket.send('ping');
told.ping = await socket.next();
if (installed) {
  // What is built into Node cannot.
  for (const [piece, fin] of [['in ', false], ['three ', false], ['pieces', true]]) socket.send(piece, { fin });
  told.from_pieces = await socket.next();
}
socket.send('pieces a b c');
told.in_pieces = await socket.next();
const large = new Uint8Array(10 << 20).map((_, index) => index % 251);
socket.send(large);
const back = new Uint8Array(await socket.next());
told.large = [back.length, Buffer.compare(large, back) === 0];
socket.close(4001, 'bye');
told.closed_by_client = await socket.closed;
const other = await open();
other.send('close 4002 go away');
told.closed_by_server = await other.closed;
console.log(JSON.stringify(told));
process.exit(0);
