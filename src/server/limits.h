// Every limit of the server against slow, broken and hostile clients.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace mica::limits {

// HTTP; the first three are defaults of flags
inline constexpr size_t kHeaderBytes = size_t{64} << 10;
inline constexpr size_t kBodyBytes = size_t{32} << 20;
inline constexpr size_t kConnections = 8192;
// Bodies above 1 MB (and those of unknown length) that are read or parsed at one time; beyond: 503.
inline constexpr size_t kLargeBody = size_t{1} << 20;
inline constexpr size_t kLargeBodiesInFlight = size_t{1} << 30;
// A body of an order: to load a model, an adapter.
inline constexpr size_t kOrderBytes = size_t{64} << 10;
inline constexpr int kBacklog = 4096;
// A stream whose reader is this far behind is ended.
inline constexpr size_t kPendingBytes = size_t{1} << 20;
inline constexpr std::chrono::seconds kHandshakeTimeout{15};   // of TLS
inline constexpr std::chrono::seconds kIdleTimeout{75};        // between requests, and for a header
inline constexpr std::chrono::seconds kBodyTimeout{120};       // for a body to arrive
inline constexpr std::chrono::seconds kWriteTimeout{120};      // for a write to be taken
inline constexpr std::chrono::seconds kKeepaliveInterval{10};  // SSE comments without text

// JSON
inline constexpr int kJsonDepth = 64;
inline constexpr size_t kJsonValues = 2'000'000;
// Objects keep their order and find keys by a scan, so the cost of n keys is n * n / 2.
inline constexpr size_t kJsonKeyCost = 20'000'000;

// Requests
inline constexpr size_t kMessages = 16384;
inline constexpr size_t kStops = 64;
inline constexpr size_t kStopBytes = 4096;
inline constexpr int32_t kChoicesPerPrompt = 16;  // n
inline constexpr size_t kChoices = 256;           // prompts * n
inline constexpr int32_t kTopLogprobs = 20;
inline constexpr size_t kGrammarChoices = 10'000;
inline constexpr size_t kTools = 1024;

// Responses that are kept for previous_response_id: so many, and so many bytes in all.
inline constexpr size_t kStoredResponses = 1024;
inline constexpr size_t kStoredResponseBytes = size_t{64} << 20;
inline constexpr size_t kEmbeddingInputs = 2048;  // texts of one request

}  // namespace mica::limits
