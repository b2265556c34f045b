// Decoders: tokens to text. A decoder is a chain of stages through which tokens flow one at a time,
// so that decoding a whole sequence and decoding a stream are the same code. A stage hands on what
// no later token can change.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mica::tok {

// One running stage. A token arrives as one fragment or more, the first with `begins`; fragments
// hold whole characters.
class DecodeStage {
 public:
  virtual ~DecodeStage() = default;
  virtual void add(std::string_view fragment, bool begins) = 0;
  virtual void finish() = 0;  // no more tokens; finishes the stages behind, too
};
using DecodeStagePtr = std::unique_ptr<DecodeStage>;

class Decoder {
 public:
  virtual ~Decoder() = default;
  // A running stage in front of `next`.
  virtual DecodeStagePtr start(DecodeStagePtr next) const = 0;
  // Turns the token into the bytes it stands for, inside a text.
  virtual void raw_bytes(std::string& token) const = 0;
};
using DecoderPtr = std::unique_ptr<Decoder>;

// The end of a chain: appends to `out`.
DecodeStagePtr make_text_sink(std::string& out);

DecoderPtr make_byte_level_decoder();
DecoderPtr make_byte_fallback_decoder();
DecoderPtr make_fuse_decoder();
// Throws Error(kCheckpoint) for a bad regular expression.
DecoderPtr make_replace_decoder(std::string pattern, bool is_regex, std::string content);
DecoderPtr make_strip_decoder(char32_t content, size_t start, size_t stop);
// `drop_first`: marks of the first token vanish instead of becoming blanks.
DecoderPtr make_metaspace_decoder(char32_t replacement, bool drop_first);
DecoderPtr make_word_piece_decoder(std::string prefix, bool cleanup);
DecoderPtr make_bpe_decoder(std::string suffix);
DecoderPtr make_ctc_decoder(std::string pad_token, std::string word_delimiter, bool cleanup);
DecoderPtr make_decoder_sequence(std::vector<DecoderPtr> parts);
// Of a tokenizer without decoder: blanks between the tokens.
DecoderPtr make_blank_joiner();

}  // namespace mica::tok
