// What the hub says about a repository: its commit and files, and each file's etag and size.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/hub/http.h"

namespace mica::hub {

struct Listing {
  std::string commit;
  std::vector<std::string> files;  // each passed is_file_name()
};

struct RemoteFile {
  std::string name;
  std::string etag;              // passed is_etag()
  std::optional<uint64_t> size;  // stated by the server
};

using OnRetry = std::function<void(const std::string& note, double pause_seconds)>;

// Reads the answer of GET /api/models/REPO/revision/REVISION. Throws kNetwork.
Listing parse_listing(std::string_view json, const std::string& url);

Listing fetch_listing(HttpClient& client, const HubOptions& options, const ModelId& id,
                      const OnRetry& on_retry);

// HEAD of the file. nullopt when the hub lists it, but doesn't have it (404 EntryNotFound).
std::optional<RemoteFile> fetch_metadata(HttpClient& client, const HubOptions& options,
                                         const ModelId& id, const std::string& commit,
                                         const std::string& file, const OnRetry& on_retry);

// The address of a file's content.
std::string file_url(const HubOptions& options, const std::string& repo, const std::string& commit,
                     const std::string& file);

// Throws kNetwork for an answer that is not 2xx: what it means and what to do.
[[noreturn]] void throw_refusal(const HttpResponse& response, const HubOptions& options,
                                const ModelId& id);

}  // namespace mica::hub
