/// What the tool says of a container, in the shape it had before 1.0 and in the one since. Anything else is refused: a
/// state that is guessed would start an agent twice, or leave one behind.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <kortex/types.hpp>

#include "engine/json_read.hpp"
#include "version.hpp"

namespace kortex::apple {

namespace json = boost::json;

struct ContainerView {
  enum class Word { unknown, stopped, running, stopping };
  std::string id;
  Word word = Word::unknown;
  std::int64_t created_ms = 0, started_ms = 0;  ///< Unix time; 0: not told
  KeyValues labels;
  std::string image, architecture;
  json::value environment;  ///< of its main process, which is the image's: an array of "K=V", or null
  std::vector<Forward> forwards;
  std::string address;  ///< "192.168.64.3"; empty: none

  [[nodiscard]] std::string label(std::string_view name) const;
};

/// One element of what `inspect` and `list --format json` print. Throws BACKEND.
[[nodiscard]] ContainerView view_of(const json::value& container, const Version& version);

/// Unix milliseconds of a date: a number of seconds since 2001, or ISO 8601. 0: none.
[[nodiscard]] std::int64_t date_ms(const json::value* date);

/// Parses what a command printed; `what` as in Tool::run(). Throws BACKEND with the version and, as detail, the text.
[[nodiscard]] json::value parsed(const std::string& text, const std::string& what, const Version& version);
/// The same, of a list of containers.
[[nodiscard]] std::vector<ContainerView> views_of(const std::string& text, const std::string& what, const Version& version);

/// The names of images that `image list --format json` tells of.
[[nodiscard]] std::vector<std::string> image_names(const std::string& text, const Version& version);
/// "debian" is what "docker.io/library/debian:latest" is.
[[nodiscard]] std::string full_image_name(const std::string& name);

}  // namespace kortex::apple
