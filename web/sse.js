// Server-sent events (WHATWG HTML, 9.2.6) from text that may be cut anywhere.
export class SseParser {
  // `onEvent` gets {event, data} at each blank line after data.
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.line = [];       // pieces of the line that is not complete yet
    this.skipLf = false;  // the last piece ended in CR: an LF that follows belongs to it
    this.first = true;
    this.event = '';
    this.data = [];
  }

  push(text) {
    if (this.first && text !== '') {
      this.first = false;
      if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    }
    let start = 0;
    for (let i = 0; i < text.length; ++i) {
      const c = text.charCodeAt(i);
      if (c !== 10 && c !== 13) {
        this.skipLf = false;
        continue;
      }
      if (c === 10 && this.skipLf) {
        this.skipLf = false;
      } else {
        this.line.push(text.slice(start, i));
        this.endLine(this.line.join(''));
        this.line = [];
        this.skipLf = c === 13;
      }
      start = i + 1;
    }
    if (start < text.length) this.line.push(text.slice(start));
  }

  endLine(line) {
    if (line === '') {
      const {event, data} = this;
      this.event = '';
      this.data = [];
      if (data.length > 0) this.onEvent({event: event || 'message', data: data.join('\n')});
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;  // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    if (field === 'data') this.data.push(value);
    if (field === 'event') this.event = value;
  }
}

// The events of a fetch body, one by one.
export async function* sseEvents(body) {
  const events = [];
  const parser = new SseParser((event) => events.push(event));
  const decoder = new TextDecoder();  // keeps characters that are cut between chunks
  const reader = body.getReader();
  try {
    for (;;) {
      const {done, value} = await reader.read();
      parser.push(done ? decoder.decode() : decoder.decode(value, {stream: true}));
      yield* events.splice(0);
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});  // a consumer that stops early ends the request
  }
}
