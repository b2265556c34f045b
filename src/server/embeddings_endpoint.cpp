#include "server/embeddings_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "engine/embedder.h"
#include "server/json_fields.h"
#include "server/json_text.h"
#include "server/limits.h"
#include "server/request_fields.h"
#include "server/server_error.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

// What a text loses when it is cut: tokens of its end, not the special ones around it.
void cut(std::vector<int32_t>& tokens, std::string_view text, const Tokenizer& tokenizer,
         size_t limit) {
  const std::vector<int32_t> plain = tokenizer.encode(text, /*add_special_tokens=*/false);
  const auto inner = std::search(tokens.begin(), tokens.end(), plain.begin(), plain.end());
  const size_t specials = tokens.size() - std::min(tokens.size(), plain.size());
  if (!plain.empty() && inner != tokens.end() && specials < limit) {
    const auto keep = static_cast<std::ptrdiff_t>(limit - specials);
    tokens.erase(inner + keep, inner + static_cast<std::ptrdiff_t>(plain.size()));
  }
  tokens.resize(std::min(tokens.size(), limit));
}

// Reads what the field `input` may hold: texts and lists of token ids.
class Inputs {
 public:
  // `limit`: tokens to which texts are cut; 0 = longer ones are an error.
  Inputs(const ServedModel& model, size_t limit) : model_(model), limit_(limit) {}

  std::vector<std::vector<int32_t>> read(const Json& input) {
    const bool one = input.is_string() || is_token_list(input);
    if (!one && (!input.is_array() || input.empty()))
      wrong_value("input", "a text, a list of token ids, or a list of these", input);
    const size_t count = one ? 1 : input.size();
    if (count > limits::kEmbeddingInputs)
      throw RequestError("input", fmt::format("input: {} texts, at most {} are taken", count,
                                              limits::kEmbeddingInputs));
    if (one)
      add("input", input);
    else
      for (size_t i = 0; i < count; ++i) add(fmt::format("input[{}]", i), input[i]);
    return std::move(inputs_);
  }

 private:
  static bool is_token_list(const Json& input) {
    return input.is_array() && !input.empty() && input[0].is_number();
  }

  void add(const std::string& place, const Json& input) {
    std::vector<int32_t> tokens;
    if (input.is_string()) {
      const auto& text = input.get_ref<const std::string&>();
      tokens = model_.text->tokenizer().encode(text, /*add_special_tokens=*/true);
      if (limit_ > 0 && tokens.size() > limit_) cut(tokens, text, model_.text->tokenizer(), limit_);
    } else if (is_token_list(input)) {
      for (size_t i = 0; i < input.size(); ++i)
        tokens.push_back(static_cast<int32_t>(
            whole_number(fmt::format("{}[{}]", place, i), input[i], 0, model_.vocabulary - 1)));
      if (limit_ > 0) tokens.resize(std::min(tokens.size(), limit_));
    } else {
      wrong_value(place, "a text or a list of token ids", input);
    }
    const auto most = static_cast<size_t>(model_.embedder->max_tokens());
    if (tokens.empty()) throw RequestError(place, place + ": expected a text, found no tokens");
    if (tokens.size() > most)
      throw RequestError(place, fmt::format("{}: {} tokens, the model takes {}; shorten it, or set "
                                            "truncate_prompt_tokens to -1 to have it cut",
                                            place, tokens.size(), most));
    inputs_.push_back(std::move(tokens));
  }

  const ServedModel& model_;
  const size_t limit_;
  std::vector<std::vector<int32_t>> inputs_;
};

// The first values, of unit length again where the model's vectors are.
void shorten(std::vector<float>& vector, int32_t dimensions, bool normalize) {
  if (dimensions == 0 || static_cast<size_t>(dimensions) >= vector.size()) return;
  vector.resize(static_cast<size_t>(dimensions));
  double squares = 0;
  for (const float value : vector) squares += double{value} * double{value};
  if (!normalize || squares == 0) return;
  for (float& value : vector) value = static_cast<float>(value / std::sqrt(squares));
}

// The values as little-endian f32.
std::string base64(const std::vector<float>& vector) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes, out;
  for (const float value : vector)
    for (int shift = 0; shift < 32; shift += 8)
      bytes += static_cast<char>(std::bit_cast<uint32_t>(value) >> shift);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j)
      bits = bits << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0u);
    for (size_t j = 0; j < 4; ++j)
      out += i + j > bytes.size() ? '=' : kDigits[bits >> (18 - 6 * j) & 63];
  }
  return out;
}

void append_vector(std::string& out, const std::vector<float>& vector, bool as_base64) {
  if (as_base64) {
    out += '"' + base64(vector) + '"';
    return;
  }
  out += '[';
  for (size_t i = 0; i < vector.size(); ++i)
    fmt::format_to(std::back_inserter(out), "{}{}", i ? "," : "", vector[i]);
  out += ']';
}

}  // namespace

EmbeddingsRequest parse_embeddings(std::string_view body, const ServedModel& model) {
  if (!model.embedder)
    throw RequestError(ApiError{404, "this server gives no embeddings", "", "not_supported"});
  const Json json = parse_json_body(body);
  const Fields fields(json);
  EmbeddingsRequest request;
  request.model = model_name(fields, model);
  const std::string format = fields.text("encoding_format", "float");
  if (format != "float" && format != "base64")
    wrong_value("encoding_format", "float or base64", *fields.find("encoding_format"));
  request.base64 = format == "base64";
  request.dimensions =
      static_cast<int32_t>(fields.integer("dimensions", 0, 1, model.embedder->size()));
  fields.text("user", "");
  const int64_t most = model.embedder->max_tokens();
  const int64_t cut_to = fields.integer("truncate_prompt_tokens", 0, -1, most);
  if (cut_to == 0 && fields.find("truncate_prompt_tokens"))
    wrong_value("truncate_prompt_tokens", fmt::format("-1, or a number from 1 to {}", most),
                *fields.find("truncate_prompt_tokens"));
  const Json* input = fields.find("input");
  if (!input) throw RequestError("input", "input: expected a text or a list of texts, found none");
  request.inputs = Inputs(model, static_cast<size_t>(cut_to == -1 ? most : cut_to)).read(*input);
  return request;
}

std::string answer_embeddings(const EmbeddingsRequest& request, const ServedModel& model,
                              const std::function<bool()>& gone) {
  std::vector<std::vector<float>> vectors =
      model.embedder->embed(request.inputs, gone, request.adapter);
  if (vectors.empty()) return "";
  size_t tokens = 0;
  std::string out = R"({"object":"list","data":[)";
  for (size_t i = 0; i < vectors.size(); ++i) {
    shorten(vectors[i], request.dimensions, model.embedder->pooling().normalize);
    out += fmt::format(R"({}{{"object":"embedding","index":{},"embedding":)", i ? "," : "", i);
    append_vector(out, vectors[i], request.base64);
    out += '}';
    tokens += request.inputs[i].size();
  }
  out += R"(],"model":)" + to_text(request.model) +
         fmt::format(R"(,"usage":{{"prompt_tokens":{0},"total_tokens":{0}}}}})", tokens);
  return out;
}

}  // namespace mica
