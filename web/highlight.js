// Light colouring of code: comments, strings, numbers and words, by families of languages. Gives
// spans and texts whose text is exactly the code.
import {el} from './dom.js';

const MAX_LENGTH = 30000;  // longer code stays plain

const WORDS = {
  c:
      'abstract alignas as async auto await bool boolean break byte case catch char class ' +
      'const constexpr continue crate default defer delete do double dyn else enum explicit ' +
      'export extends extern false final finally float fn for from func function go goto if ' +
      'impl implements import in inline instanceof int interface let long loop match mod ' +
      'module mut namespace new nil noexcept null nullptr of operator override package ' +
      'private protected pub public return self short signed sizeof static static_cast string ' +
      'struct super switch template this throw throws trait true try type typedef typename ' +
      'typeof uint union unsafe unsigned use using val var virtual void volatile where while ' +
      'yield',
  hash:
      'False None True and as assert async await begin break case class continue def del do ' +
      'done elif else end esac except export false fi finally for from function global if ' +
      'import in is lambda let local match module nil nonlocal not null or pass raise require ' +
      'rescue return self set then true try unless until while with yield',
  sql:
      'add all alter and as asc between by case create cross delete desc distinct drop else ' +
      'end exists false from full group having if in index inner insert into is join key left ' +
      'like limit not null offset on or order outer over partition primary references right ' +
      'select set table then true union unique update using values view when where with',
};

const STRINGS = `"(?:[^"\\\\\\n]|\\\\.)*"?|'(?:[^'\\\\\\n]|\\\\.)*'`;
const NUMBER = '\\b(?:0[xX][\\da-fA-F_]+|\\d[\\d_]*(?:\\.\\d+)?(?:[eE][+-]?\\d+)?)\\w{0,3}\\b';
const WORD = '[A-Za-z_$][\\w$]*';

function family(comment, string, words, flags = '') {
  return {
    pattern: new RegExp(`(${comment})|(${string})|(${NUMBER})|(${WORD})`, `g${flags}`),
    words: new Set(words.split(' ')),
    anyCase: flags.includes('i'),
  };
}

const FAMILIES = {
  c: family(
      '\\/\\/[^\\n]*|\\/\\*[^]*?(?:\\*\\/|$)', `\`(?:[^\`\\\\]|\\\\.)*\`?|${STRINGS}`, WORDS.c),
  hash: family('(?<![\\w$])#[^\\n]*', `"""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|${STRINGS}`, WORDS.hash),
  sql: family('--[^\\n]*|\\/\\*[^]*?(?:\\*\\/|$)', STRINGS, WORDS.sql, 'i'),
  json: family('(?!)', `"(?:[^"\\\\\\n]|\\\\.)*"?`, 'true false null'),
  markup: family('<!--[^]*?(?:-->|$)', `"[^"<>]*"|'[^'<>]*'`, ''),
  css: family('\\/\\*[^]*?(?:\\*\\/|$)', STRINGS, ''),
};

const LANGUAGES = {
  hash:
      'python py python3 ruby rb sh bash shell zsh console yaml yml toml ini r perl make ' +
      'makefile dockerfile cmake elixir julia',
  c:
      'c h cpp c++ cc cxx hpp cuda cu js javascript mjs ts typescript jsx tsx java kotlin kt ' +
      'swift go golang rust rs cs csharp c# php scala dart zig proto glsl metal objc',
  sql:
      'sql mysql postgres postgresql sqlite',
  json:
      'json jsonc json5 jsonl',
  markup:
      'html xml svg xhtml vue',
  css:
      'css scss less',
};
const FAMILY_OF = new Map(Object.entries(LANGUAGES).flatMap(
    ([name, languages]) => languages.split(' ').map((language) => [language, FAMILIES[name]])));

export function highlight(code, lang) {
  const rules = FAMILY_OF.get(lang.toLowerCase());
  if (!rules || code.length > MAX_LENGTH) return [document.createTextNode(code)];
  const out = [];
  let plain = 0;
  const mark = (kind, at, text) => {
    if (at > plain) out.push(document.createTextNode(code.slice(plain, at)));
    out.push(el('span', {class: `hl-${kind}`}, text));
    plain = at + text.length;
  };
  for (const match of code.matchAll(rules.pattern)) {
    const [text, comment, string, number, word] = match;
    if (text === '') continue;
    if (comment)
      mark('comment', match.index, text);
    else if (string)
      mark('string', match.index, text);
    else if (number)
      mark('number', match.index, text);
    else if (rules.words.has(rules.anyCase ? word.toLowerCase() : word))
      mark('word', match.index, text);
  }
  if (plain < code.length) out.push(document.createTextNode(code.slice(plain)));
  return out;
}
