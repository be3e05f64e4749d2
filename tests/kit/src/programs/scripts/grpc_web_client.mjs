// One call of gRPC-Web told as JSON: CLIENT FOLDER URL CALL [ARGUMENT]. The packages are in FOLDER.
//
// grpc-web-text, grpc-web   the library of the gRPC project, over XMLHttpRequest, in base64 or not
// connect, connect-h2       Connect, over HTTP/1.1 or HTTP/2
//
// What comes out is {"code", "details", "initial", "trailing", "messages"}, metadata as it was on the
// wire; with an error, all of it is "trailing". Every message is JSON.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

const [client, folder, url, kind, argument = ''] = process.argv.slice(2);
const require = createRequire(`${folder}/`);

/** A browser gives a text out while it comes; xhr2 gives it out at the end. */
const streaming = (Xhr) => class extends Xhr {
  _onHttpResponseData(response, data) {
    const text = this._response === response && this.responseType === '';
    if (text) this.responseText += data.toString('latin1');
    super._onHttpResponseData(response, data);
    if (text) this._setReadyState(Xhr.LOADING);
  }
};

const google = (format) => {
  globalThis.XMLHttpRequest = streaming(require('xhr2'));
  const { GrpcWebClientBase, MethodDescriptor } = require('grpc-web');
  const method = (name, type) => new MethodDescriptor(
    `/stitch.test.Echo/${name}`, type, String, String,
    (text) => new TextEncoder().encode(text), (bytes) => new TextDecoder().decode(bytes));
  const failed = ({ code, message, metadata }, messages) =>
    ({ code, details: message, trailing: metadata, messages });
  return {
    async unary(name, request, metadata) {
      const told = { code: 0, details: '' };
      const look = async (request, invoker) => {
        const response = await invoker(request);
        told.initial = response.getMetadata();
        told.trailing = response.getStatus().metadata;
        return response;
      };
      const options = { format, maxReceiveMessageSize: 0, unaryInterceptors: [{ intercept: look }] };
      const base = new GrpcWebClientBase(options);
      try {
        const path = `${url}/stitch.test.Echo/${name}`;
        told.messages = [await base.unaryCall(path, request, metadata, method(name, 'unary'))];
        return told;
      } catch (error) {
        return failed(error, []);
      }
    },
    stream(name, request, metadata, most = Infinity) {
      const base = new GrpcWebClientBase({ format });
      const path = `${url}/stitch.test.Echo/${name}`;
      const call = base.serverStreaming(path, request, metadata, method(name, 'server_streaming'));
      return new Promise((resolve) => {
        const told = { messages: [] };
        call.on('data', (message) => {
          if (told.messages.push(message) < most) return;
          call.cancel();
          resolve(told);
        });
        call.on('metadata', (initial) => { told.initial = initial; });
        call.on('status', ({ code, details, metadata }) => Object.assign(told, { code, details, trailing: metadata }));
        call.on('error', (error) => resolve(failed(error, told.messages)));
        call.on('end', () => resolve(told));
      });
    },
  };
};

const connect = (httpVersion) => {
  const { create, createFileRegistry, fromJson, toJson } = require('@bufbuild/protobuf');
  const { FileDescriptorProtoSchema, ValueSchema, file_google_protobuf_struct } = require('@bufbuild/protobuf/wkt');
  const { createGrpcWebTransport } = require('@connectrpc/connect-node');
  const any = { inputType: '.google.protobuf.Value', outputType: '.google.protobuf.Value' };
  const declared = (name, serverStreaming) => {
    const file = create(FileDescriptorProtoSchema, {
      name: 'echo.proto', package: 'stitch.test', syntax: 'proto3', dependency: ['google/protobuf/struct.proto'],
      service: [{ name: 'Echo', method: [{ name, ...any, serverStreaming }] }],
    });
    return createFileRegistry(file, () => file_google_protobuf_struct.proto).getService('stitch.test.Echo').methods[0];
  };
  // What the server only says back is in the format of Protocol Buffers; what it reads is JSON.
  const transport = (name) =>
    createGrpcWebTransport({ baseUrl: url, httpVersion, useBinaryFormat: name === 'Unary' });
  const value = (text) => fromJson(ValueSchema, JSON.parse(text));
  const text = (message) => JSON.stringify(toJson(ValueSchema, message));
  const failed = ({ code, rawMessage, metadata }, messages) =>
    ({ code, details: rawMessage, trailing: Object.fromEntries(metadata), messages });
  const good = ({ header, trailer }, messages) => ({
    code: 0, details: '', initial: Object.fromEntries(header), trailing: Object.fromEntries(trailer), messages,
  });
  return {
    async unary(name, request, metadata) {
      try {
        const method = declared(name, false);
        const response = await transport(name).unary(method, undefined, undefined, metadata, value(request));
        return good(response, [text(response.message)]);
      } catch (error) {
        return failed(error, []);
      }
    },
    async stream(name, request, metadata, most = Infinity) {
      const messages = [];
      const cancel = new AbortController();
      const once = (async function* () { yield value(request); })();
      try {
        const method = declared(name, true);
        const response = await transport(name).stream(method, cancel.signal, undefined, metadata, once);
        for await (const message of response.message) {
          if (messages.push(text(message)) < most) continue;
          cancel.abort();
          return { messages };
        }
        return good(response, messages);
      } catch (error) {
        return failed(error, messages);
      }
    },
  };
};

const [needed, open] = {
  'grpc-web-text': ['grpc-web', () => google('text')],
  'grpc-web': ['grpc-web', () => google('binary')],
  connect: ['@connectrpc/connect-node', () => connect('1.1')],
  'connect-h2': ['@connectrpc/connect-node', () => connect('2')],
}[client];
if (!existsSync(`${folder}/node_modules/${needed}`)) {
  console.log(JSON.stringify({ skipped: `there is no package ${needed}` }));
  process.exit(0);
}
const { unary, stream } = open();

const large = async () => {
  const request = JSON.stringify('0123456789abcdeü'.repeat(1 << 16));
  const { code, messages } = await unary('Unary', request, {});
  return { code, length: Buffer.byteLength(request), same: messages[0] === request };
};
const told = await {
  unary: () => unary('Unary', argument, { 'x-echo': 'told', 'x-some-bin': 'AAH/' }),
  large,
  fail: () => unary('Fail', argument, {}),
  server_stream: () => stream('ServerStream', argument, {}),
  fail_late: () => stream('FailLate', argument, {}),
  deadline: () => stream('Hold', '0', { 'grpc-timeout': argument }),
  cancel: () => stream('Hold', '0', {}, 1),
}[kind]();
console.log(JSON.stringify(told));
process.exit(0);
