// The rest of what an engine sends: framed output and tar archives; and what `docker login` left. The first byte says which.
#include <cstring>

#include "engine/api.hpp"
#include "engine/credentials.hpp"
#include "engine/tar.hpp"
#include "invariant.hpp"

using namespace kortex;
using namespace kortex::engine;

namespace {

std::string output(std::string_view bytes, std::size_t step) {
  RawStream stream;
  std::string out;
  try {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size())))
      stream.feed(bytes.substr(0, step), [&](int number, std::string_view piece) {
        fuzz::require(number >= 0 && number <= 3 && !piece.empty(), "a piece is one of a stream");
        out += static_cast<char>('0' + number);
        out += piece.front();
        for (const char c : piece.substr(1)) (out += static_cast<char>('0' + number)) += c;
      });
  } catch (const Error& error) {
    out += error.what();
  }
  return out;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text = fuzz::text_of(data + 1, size - 1);
  switch (data[0] % 4) {
    case 0: fuzz::require(output(text, text.size()) == output(text, data[0] / 4 + std::size_t{1}), "how a stream is cut changes nothing"); break;
    case 1:
      read_tar(text, [&](const std::string& name, std::string_view content) {
        fuzz::require(name.size() <= 256, "a name fits into its header");
        fuzz::require(content.data() >= text.data() && content.data() + content.size() <= text.data() + text.size(),
                      "a file is a part of the archive");
      });
      break;
    case 2: {
      const std::string bytes(text);
      fuzz::require(from_base64(base64(bytes, false)) == bytes && from_base64(base64(bytes, true)) == bytes, "base64 comes back");
      (void)from_base64(bytes);
      break;
    }
    default: {
      const std::string name(text);
      (void)registry_of(name);
      (void)image_and_tag(name);
      (void)url_encoded(name);
      const std::size_t half = name.size() / 2;
      (void)negotiated("1.41", name.substr(0, half), name.substr(half));
    }
  }
  return 0;
}
