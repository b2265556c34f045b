// What the chunks of a stream add up to, and how an answer divides into thoughts and text.

export function emptyAnswer() {
  return {role: 'assistant', content: '', reasoning: '', toolCalls: []};
}

// Adds one chunk of a chat completion; true if something came that a reader sees.
export function addChunk(answer, chunk) {
  if (chunk.model) answer.model = String(chunk.model);
  if (chunk.usage) answer.usage = chunk.usage;
  if (chunk.timings) answer.timings = chunk.timings;
  const choice = chunk.choices?.[0];
  if (!choice) return false;
  if (choice.finish_reason) answer.finish = String(choice.finish_reason);
  const delta = choice.delta ?? {};
  const reasoning = delta.reasoning_content ?? delta.reasoning;
  let seen = false;
  if (typeof reasoning === 'string' && reasoning !== '') {
    answer.reasoning += reasoning;
    seen = true;
  }
  if (typeof delta.content === 'string' && delta.content !== '') {
    answer.content += delta.content;
    seen = true;
  }
  for (const piece of delta.tool_calls ?? []) {
    addToolPiece(answer.toolCalls, piece);
    seen = true;
  }
  return seen;
}

function addToolPiece(calls, piece) {
  const index = piece.index ?? calls.length;
  if (!Number.isInteger(index) || index < 0 || index > 127) return;
  while (calls.length <= index) calls.push({id: '', name: '', arguments: ''});
  const call = calls[index];
  if (piece.id) call.id = String(piece.id);
  const named = piece.function ?? {};
  if (named.name) call.name += named.name;
  if (typeof named.arguments === 'string')
    call.arguments += named.arguments;
  else if (named.arguments)
    call.arguments = JSON.stringify(named.arguments);
}

const OPEN = '<think>', CLOSE = '</think>';

// Thoughts that stand in the text as <think>…</think> at its beginning (the opening tag may have
// been in the prompt). `ended`: no more text comes, so a cut tag is text.
export function splitThoughts(content, ended = true) {
  const text = content.trimStart();
  if (!ended && text.length < OPEN.length && OPEN.startsWith(text)) return {thoughts: '', text: ''};
  const close = text.indexOf(CLOSE);
  if (text.startsWith(OPEN)) {
    const inner = text.slice(OPEN.length, close < 0 ? undefined : close);
    return {
      thoughts: close < 0 && !ended ? withoutCutTag(inner) : inner,
      text: close < 0 ? '' : text.slice(close + CLOSE.length).trimStart(),
      open: close < 0,
    };
  }
  if (close < 0 || text.lastIndexOf(OPEN, close) >= 0) return {thoughts: '', text: content};
  return {thoughts: text.slice(0, close), text: text.slice(close + CLOSE.length).trimStart()};
}

function withoutCutTag(text) {
  for (let n = Math.min(CLOSE.length - 1, text.length); n > 0; --n)
    if (text.endsWith(CLOSE.slice(0, n))) return text.slice(0, -n);
  return text;
}

// Everything of an answer as a reader sees it.
export function partsOf(message, ended = true) {
  const split = splitThoughts(message.content ?? '', ended);
  const thoughts =
      [message.reasoning ?? '', split.thoughts].filter((t) => t.trim() !== '').join('\n\n');
  const calls = message.toolCalls ?? [];
  const thinking = !ended && thoughts !== '' && split.text === '' && calls.length === 0;
  return {thoughts, text: split.text, calls, thinking};
}

// Arguments of a tool call, indented where they are JSON.
export function prettyArguments(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// Messages as the API takes them. Thoughts are not sent back; failed, empty answers neither.
export function apiMessages(messages, system) {
  const out = [];
  if (system && system.trim() !== '') out.push({role: 'system', content: system});
  for (const message of messages) {
    if (message.role === 'tool') {
      out.push({role: 'tool', tool_call_id: message.toolCallId, content: message.content});
    } else if (message.role === 'user') {
      out.push({role: 'user', content: message.content});
    } else {
      const {text, calls} = partsOf(message);
      if (text === '' && calls.length === 0) continue;
      const one = {role: 'assistant', content: text};
      if (calls.length > 0)
        one.tool_calls = calls.map((call) => ({
                                     id: call.id,
                                     type: 'function',
                                     function: {name: call.name, arguments: call.arguments || '{}'},
                                   }));
      out.push(one);
    }
  }
  return out;
}

const SHORTEST = 0.02;  // seconds from which the page's clock tells a speed

// Tokens, speed and time to the first token of an answer. `clock`: {sent, first, last} in ms.
export function statsOf(answer, clock) {
  const stats = {};
  const tokens = answer.usage?.completion_tokens;
  if (Number.isFinite(tokens)) stats.tokens = tokens;
  if (Number.isFinite(answer.usage?.prompt_tokens)) stats.promptTokens = answer.usage.prompt_tokens;
  const cached = answer.usage?.prompt_tokens_details?.cached_tokens;
  if (Number.isFinite(cached)) stats.cachedTokens = cached;
  if (clock.first) stats.firstMs = Math.round(clock.first - clock.sent);
  const speed = answer.timings?.predicted_per_second;
  const seconds = (clock.last - clock.first) / 1000;
  if (Number.isFinite(speed))
    stats.perSecond = speed;
  else if (tokens > 1 && seconds > SHORTEST)
    stats.perSecond = (tokens - 1) / seconds;
  if (answer.finish) stats.finish = answer.finish;
  return stats;
}
