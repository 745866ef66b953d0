/// What a registry wants to know of the user, from where `docker login` and `podman login` left it. It is read when an
/// image is fetched, goes into that one request, and is neither kept nor shown.
#pragma once

#include <string>
#include <vector>

#include <kortex/call.hpp>

namespace kortex::engine {

/// The value of X-Registry-Auth for fetching `image`; empty: nothing is known for its registry. `files`: in the format
/// of docker's config.json, the first that knows the registry counts; those that are missing are skipped. Runs the
/// credential helper that a file names.
[[nodiscard]] std::string registry_auth(const Call& call, const std::vector<std::string>& files, const std::string& image);

/// "registry.example:5000/team/app:1" → "registry.example:5000"; docker.io where the name says nothing.
[[nodiscard]] std::string registry_of(const std::string& image);

[[nodiscard]] std::string base64(const std::string& bytes, bool for_urls);
/// Empty for what is none.
[[nodiscard]] std::string from_base64(const std::string& text);

}  // namespace kortex::engine
