#include "bench/eval/question.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "base/spelling.h"
#include "bench/eval/examples.h"
#include "bench/eval/text_units.h"
#include "bench/outputs/language.h"
#include "bench/results/json_node.h"
#include "checkpoint/hub/digest.h"

namespace mica {
namespace {

constexpr size_t kMostChoices = 26;
constexpr int64_t kMostCount = 1'000'000;

std::string short_hash(std::string_view text) {
  return hub::sha256(text).substr(0, 16);
}

std::string dump_messages(const std::vector<ChatMessage>& messages) {
  OrderedJson json = OrderedJson::array();
  for (const ChatMessage& message : messages)
    json.push_back({{"role", message.role}, {"content", message.parts[0].text}});
  return dump(json);
}

ChatMessage message_of(const std::string& role, const std::string& text) {
  return {role, {{.text = text}}};
}

std::string text_not_empty(const JsonNode& node) {
  const std::string text = node.text();
  if (stripped(text).empty()) node.wrong("a text that is not empty");
  return text;
}

// A list of texts, or one.
std::vector<std::string> texts_of(const JsonNode& node) {
  if (node.json().is_string()) return {text_not_empty(node)};
  std::vector<std::string> texts;
  if (node.json().is_array())
    for (const JsonNode& item : node.items()) texts.push_back(text_not_empty(item));
  if (texts.empty()) node.wrong("a text or a list of texts");
  return texts;
}

int64_t count_of(const JsonNode& node) {
  const int64_t count = node.integer();
  if (count < 0 || count > kMostCount) node.wrong(fmt::format("a number from 0 to {}", kMostCount));
  return count;
}

void only_keys(const JsonNode& node, const std::vector<std::string>& known, const char* hint) {
  for (const auto& [key, value] : node.members())
    if (!value.json().is_null() && std::find(known.begin(), known.end(), key) == known.end())
      throw Error(ErrorKind::kUsage, "[eval] {}: unknown key '{}'{}{}", node.place(), key,
                  meant_instead(key, known), hint);
}

// --- GSM8K

Question gsm8k_question(const JsonNode& node, int32_t shots) {
  Question question;
  const auto ask = [&](const std::string& text) {
    question.messages.push_back(message_of("user", text + "\n\n" + std::string(kNumberRequest)));
  };
  for (const WorkedExample& example : worked_examples().subspan(0, static_cast<size_t>(shots))) {
    ask(example.question);
    question.messages.push_back(message_of("assistant", example.answer));
  }
  ask(text_not_empty(node.at("question")));
  const JsonNode answer = node.at("answer");
  const std::string text = answer.text();
  const size_t mark = text.rfind("####");
  const auto number = mark == std::string::npos
                          ? std::nullopt
                          : parse_decimal(std::string_view(text).substr(mark + 4));
  if (!number) answer.wrong("a text that ends with '#### ' and a number");
  question.expected = Expected{.match = MatchKind::kNumber, .number = *number};
  return question;
}

// --- IFEval

void read_relation(const JsonNode& node, InstructionArguments& arguments) {
  const std::string relation = node.text();
  if (relation != "at least" && relation != "less than") node.wrong("'at least' or 'less than'");
  arguments.at_least = relation == "at least";
}

void check_texts(const InstructionType& type, const JsonNode& node,
                 const InstructionArguments& arguments) {
  const std::string_view id = type.id;
  if (id == "language:response_language" && !is_known_language(arguments.texts[0]))
    node.wrong(fmt::format("one of the languages that can be told apart: {}",
                           fmt::join(known_languages(), " ")));
}

Instruction instruction_of(const JsonNode& id, const JsonNode& kwargs) {
  Instruction instruction;
  instruction.type = find_instruction_type(id.text());
  if (!instruction.type) {
    std::vector<std::string> known;
    for (const InstructionType& type : instruction_types()) known.emplace_back(type.id);
    id.wrong("one of IFEval's 25 instructions" + meant_instead(id.text(), known));
  }
  const InstructionType& type = *instruction.type;
  InstructionArguments& arguments = instruction.arguments;
  std::vector<std::string> keys;
  const auto argument = [&](const char* key) {
    keys.emplace_back(key);
    return kwargs.at(key);
  };
  if (type.texts) {
    const JsonNode node = argument(type.texts);
    arguments.texts = type.list ? texts_of(node) : std::vector<std::string>{text_not_empty(node)};
    check_texts(type, node, arguments);
  }
  if (type.count) arguments.count = count_of(argument(type.count));
  if (type.relation) read_relation(argument(type.relation), arguments);
  if (type.nth) {
    const JsonNode node = argument(type.nth);
    arguments.nth = count_of(node);
    if (arguments.nth < 1) node.wrong("a number from 1");
  }
  only_keys(kwargs, keys, "");
  return instruction;
}

Question ifeval_question(const JsonNode& node) {
  Question question;
  if (const auto key = node.find("key"))
    question.id = key->json().is_string() ? key->text() : fmt::format("{}", key->integer());
  question.messages.push_back(message_of("user", text_not_empty(node.at("prompt"))));
  const JsonNode ids = node.at("instruction_id_list"), kwargs = node.at("kwargs");
  const std::vector<JsonNode> id_list = ids.items(), kwargs_list = kwargs.items();
  if (id_list.empty()) ids.wrong("a list of instructions");
  if (kwargs_list.size() != id_list.size())
    kwargs.wrong(fmt::format("{} objects, one for each instruction", id_list.size()));
  for (size_t i = 0; i < id_list.size(); ++i)
    question.instructions.push_back(instruction_of(id_list[i], kwargs_list[i]));
  return question;
}

// --- The generic form

std::vector<ChatMessage> messages_of(const JsonNode& node) {
  const auto prompt = node.find("prompt"), messages = node.find("messages");
  if (!prompt == !messages) node.wrong("'prompt' or 'messages', one of them");
  if (prompt) return {message_of("user", text_not_empty(*prompt))};
  std::vector<ChatMessage> out;
  for (const JsonNode& item : messages->items()) {
    only_keys(item, {"role", "content"}, "");
    const JsonNode role = item.at("role");
    const std::string name = role.text();
    if (name != "system" && name != "user" && name != "assistant")
      role.wrong("'system', 'user' or 'assistant'");
    out.push_back(message_of(name, item.at("content").text()));
  }
  if (out.empty() || out.back().role != "user") messages->wrong("a list that ends with a user's");
  return out;
}

// Its place from 0, its letter, or its text.
size_t right_choice(const JsonNode& answer, const std::vector<std::string>& choices) {
  const std::string expected =
      fmt::format("a choice: its place from 0 to {}, its letter, or its text", choices.size() - 1);
  if (answer.json().is_number()) {
    const int64_t place = answer.integer();
    if (place < 0 || place >= static_cast<int64_t>(choices.size())) answer.wrong(expected);
    return static_cast<size_t>(place);
  }
  const std::string text = answer.text();
  const auto found = std::find(choices.begin(), choices.end(), text);
  const auto by_text = static_cast<size_t>(found - choices.begin());
  const bool letter = text.size() == 1 && text[0] >= 'A' && text[0] < choice_letter(choices.size());
  if (!letter && found == choices.end()) answer.wrong(expected);
  if (!letter) return by_text;
  const auto by_letter = static_cast<size_t>(text[0] - 'A');
  if (found != choices.end() && by_text != by_letter)
    answer.wrong("the choice's place from 0: the text is also the letter of another choice");
  return by_letter;
}

void ask_for_letter(std::string& text, const std::vector<std::string>& choices) {
  text += "\n\n";
  for (size_t i = 0; i < choices.size(); ++i)
    text += fmt::format("{}. {}\n", choice_letter(i), choices[i]);
  text += "\n" + std::string(kLetterRequest);
}

std::vector<std::string> read_choices(const JsonNode& node) {
  std::vector<std::string> choices = texts_of(node);
  if (choices.size() < 2 || choices.size() > kMostChoices)
    node.wrong(fmt::format("2 to {} choices", kMostChoices));
  for (size_t i = 0; i < choices.size(); ++i)
    if (std::find(choices.begin(), choices.begin() + static_cast<std::ptrdiff_t>(i), choices[i]) !=
        choices.begin() + static_cast<std::ptrdiff_t>(i))
      node.wrong("choices that differ");
  return choices;
}

MatchKind match_of(const JsonNode& node, bool choices) {
  constexpr MatchKind kKinds[] = {MatchKind::kExact, MatchKind::kContains, MatchKind::kNumber,
                                  MatchKind::kChoice, MatchKind::kRegex};
  const auto match = node.find("match");
  if (!match) return choices ? MatchKind::kChoice : MatchKind::kExact;
  for (const MatchKind kind : kKinds)
    if (match->text() == name(kind)) {
      if ((kind == MatchKind::kChoice) != choices)
        match->wrong(choices ? "'choice', as there are choices" : "'choices' beside 'choice'");
      return kind;
    }
  match->wrong("'exact', 'contains', 'number', 'choice' or 'regex'");
}

Decimal number_of(const JsonNode& node) {
  const std::string text = node.json().is_number() ? dump(node.json()) : node.text();
  const auto number = parse_decimal(text);
  if (!number) node.wrong("a number");
  return *number;
}

Expected expected_of(const JsonNode& node) {
  Expected expected;
  if (const auto choices = node.find("choices")) expected.choices = read_choices(*choices);
  expected.match = match_of(node, !expected.choices.empty());
  node.read("ignore_case", expected.ignore_case);
  node.read("tolerance", expected.tolerance);
  if (expected.tolerance < 0 || (expected.tolerance > 0 && expected.match != MatchKind::kNumber))
    node.at("tolerance").wrong("a number from 0, beside 'match': 'number'");
  const JsonNode answer = node.at("answer");
  switch (expected.match) {
    case MatchKind::kExact:
    case MatchKind::kContains: expected.texts = texts_of(answer); break;
    case MatchKind::kNumber: expected.number = number_of(answer); break;
    case MatchKind::kChoice: expected.choice = right_choice(answer, expected.choices); break;
    case MatchKind::kRegex:
      try {
        expected.pattern = std::make_shared<Pattern>(text_not_empty(answer), expected.ignore_case);
      } catch (const Error& error) {
        throw Error(ErrorKind::kUsage, "[eval] {}: {}", answer.place(), error.what());
      }
  }
  return expected;
}

Question generic_question(const JsonNode& node) {
  only_keys(node,
            {"id", "prompt", "messages", "answer", "choices", "match", "ignore_case", "tolerance",
             "group", "meta"},
            "; further data may stand under 'meta'");
  Question question;
  if (const auto id = node.find("id"))
    question.id = id->json().is_string() ? text_not_empty(*id) : fmt::format("{}", id->integer());
  node.read("group", question.group);
  question.messages = messages_of(node);
  question.expected = expected_of(node);
  if (!question.expected->choices.empty())
    ask_for_letter(question.messages.back().parts[0].text, question.expected->choices);
  return question;
}

// --- Files

QuestionKind detect_kind(const JsonNode& node) {
  if (node.find("instruction_id_list")) return QuestionKind::kIfeval;
  if (node.find("question") && node.find("answer")) return QuestionKind::kGsm8k;
  if (node.find("prompt") || node.find("messages")) return QuestionKind::kGeneric;
  node.wrong(
      "'question' and 'answer' (GSM8K), 'prompt' and 'instruction_id_list' (IFEval), or 'prompt' "
      "or 'messages' and 'answer'");
}

Question question_of(const JsonNode& node, QuestionKind kind, int32_t shots) {
  switch (kind) {
    case QuestionKind::kGsm8k: return gsm8k_question(node, shots);
    case QuestionKind::kIfeval: return ifeval_question(node);
    case QuestionKind::kGeneric: return generic_question(node);
  }
  MICA_CHECK(false);
}

// What makes an answer right, as text.
std::string key_of(const OrderedJson& line) {
  std::string key;
  for (const char* name :
       {"answer", "choices", "match", "ignore_case", "tolerance", "instruction_id_list", "kwargs"})
    if (const auto found = line.find(name); found != line.end()) key += dump(*found) + "\n";
  return key;
}

class Reader {
 public:
  Reader(std::string source, const QuestionOptions& options) : options_(options) {
    set_.source = std::move(source);
  }

  void add(std::string_view line, size_t number) {
    const std::string place = fmt::format("{}:{}", set_.source, number);
    const OrderedJson json = parse_document(line, place, "eval");
    const JsonNode node(json, place, "eval");
    if (set_.questions.empty()) set_.kind = options_.kind ? *options_.kind : detect_kind(node);
    Question question = question_of(node, set_.kind, options_.shots);
    if (question.id.empty()) question.id = fmt::format("{}", number);
    if (!options_.system.empty()) {
      if (question.messages.front().role == "system")
        question.messages.erase(question.messages.begin());
      question.messages.insert(question.messages.begin(), message_of("system", options_.system));
    }
    const auto [before, is_new] = lines_.emplace(question.id, number);
    if (!is_new)
      throw Error(ErrorKind::kUsage,
                  "[eval] {}: expected an id of its own, found '{}' as in line {}", place,
                  question.id, before->second);
    const std::string messages = dump_messages(question.messages);
    question.prompt_hash = short_hash(messages);
    all_ += question.id + "\n" + messages + "\n" + key_of(json);
    set_.questions.push_back(std::move(question));
  }

  QuestionSet finish() {
    if (set_.questions.empty())
      throw Error(ErrorKind::kUsage, "[eval] {}: expected questions, found none", set_.source);
    set_.hash = short_hash(all_);
    return std::move(set_);
  }

 private:
  const QuestionOptions& options_;
  QuestionSet set_;
  std::unordered_map<std::string, size_t> lines_;  // by id
  std::string all_;
};

}  // namespace

const char* name(QuestionKind kind) {
  switch (kind) {
    case QuestionKind::kGsm8k: return "gsm8k";
    case QuestionKind::kIfeval: return "ifeval";
    case QuestionKind::kGeneric: return "generic";
  }
  MICA_CHECK(false);
}

const char* name(MatchKind kind) {
  switch (kind) {
    case MatchKind::kExact: return "exact";
    case MatchKind::kContains: return "contains";
    case MatchKind::kNumber: return "number";
    case MatchKind::kChoice: return "choice";
    case MatchKind::kRegex: return "regex";
  }
  MICA_CHECK(false);
}

QuestionSet parse_questions(std::string_view text, const std::string& source,
                            const QuestionOptions& options) {
  MICA_CHECK(options.shots >= 0 && options.shots <= static_cast<int32_t>(worked_examples().size()));
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  Reader reader(source, options);
  size_t number = 0;
  for (const std::string_view line : lines_of(text)) {
    ++number;
    if (!stripped(line).empty()) reader.add(stripped(line), number);
  }
  return reader.finish();
}

QuestionSet read_questions(const std::filesystem::path& path, const QuestionOptions& options) {
  return parse_questions(read_text_file(path), path.filename().string(), options);
}

}  // namespace mica
