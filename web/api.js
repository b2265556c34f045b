// The server's HTTP API, relative to the page, so that a proxy may put it under a path.
import {sseEvents} from './sse.js';

const KEY = 'mica.key';

export function apiKey() {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

export function setApiKey(key) {
  try {
    if (key)
      sessionStorage.setItem(KEY, key);
    else
      sessionStorage.removeItem(KEY);
  } catch {
    // storage is off: the key lasts as long as nothing else does
  }
}

// What went wrong, in words for the reader. `status` 0: the server was not reached.
export class ApiError extends Error {
  constructor(message, {status = 0, code = '', retryAfter = 0} = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;  // seconds; 0: not said
  }
  get loading() { return this.status === 503 && this.code === 'model_loading'; }
}

// Messages of servers begin small and end open.
function sentence(message) {
  const text = message.trim();
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? '' : '.');
}

function words(status, text) {
  const message = sentence(text);
  if (status === 401 || status === 403) return `The server asks for an API key. ${message}`;
  if (status === 429) return `The server is busy. ${message}`;
  return message;
}

async function errorOf(response) {
  let message = `The server answered ${response.status} ${response.statusText}`.trim() + '.';
  let code = '';
  try {
    const body = await response.json();
    const error = body.error ?? body;
    if (typeof error === 'string')
      message = error;
    else if (typeof error.message === 'string')
      message = error.message;
    if (typeof error.code === 'string') code = error.code;
  } catch {
    // no JSON: the status says it
  }
  const after = Number(response.headers.get('Retry-After'));
  return new ApiError(words(response.status, message), {
    status: response.status,
    code,
    retryAfter: after > 0 ? Math.min(after, 60) : 0,
  });
}

export async function request(path, options = {}) {
  const headers = {...options.headers};
  const key = apiKey();
  if (key) headers.Authorization = `Bearer ${key}`;
  try {
    return await fetch(path, {...options, headers, cache: 'no-store', credentials: 'same-origin'});
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('The server can’t be reached. Is it running?');
  }
}

// {state: 'ok' | 'loading' | 'ending' | 'error' | 'unreachable', device, model, reason}
export async function health(signal) {
  try {
    const response = await request('health', {signal});
    const body = await response.json();
    return {...body, state: response.ok ? 'ok' : body.status ?? 'error'};
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    return {state: 'unreachable', reason: error.message};
  }
}

export async function models() {
  const response = await request('v1/models');
  if (!response.ok) throw await errorOf(response);
  const body = await response.json();
  return (body.data ?? []).map((model) => String(model.id));
}

// Prometheus text; null where the server has none.
export async function metricsText(signal) {
  const response = await request('metrics', {signal});
  if (response.status === 404 || response.status === 501) return null;
  if (!response.ok) throw await errorOf(response);
  return response.text();
}

// The chunks of a streamed chat completion. Ends with [DONE]; anything else is an ApiError.
export async function* streamChat(body, signal) {
  const response = await request('v1/chat/completions', {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({...body, stream: true, stream_options: {include_usage: true}}),
    signal,
  });
  if (!response.ok) throw await errorOf(response);
  try {
    for await (const {data} of sseEvents(response.body)) {
      if (data === '[DONE]') return;
      let chunk;
      try {
        chunk = JSON.parse(data);
      } catch {
        throw new ApiError('The server sent something that is no JSON.');
      }
      if (chunk?.error)
        throw new ApiError(
            words(chunk.error.status ?? 500, String(chunk.error.message ?? chunk.error)),
            {status: 500, code: chunk.error.code ?? ''});
      yield chunk;
    }
  } catch (error) {
    if (error instanceof ApiError || error.name === 'AbortError') throw error;
    throw new ApiError('The connection broke before the answer’s end.');
  }
  throw new ApiError('The stream ended before the answer’s end.');
}
