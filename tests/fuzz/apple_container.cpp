// What Apple's `container` says of containers and images, in the shape before 1.0, in the one since, or in none.
#include "container_view.hpp"

#include "invariant.hpp"

using namespace kortex::apple;
using kortex::fuzz::require;

namespace {

constexpr std::int64_t year_10000_ms = 253402300800000;

bool is_date(std::int64_t ms) { return ms >= 0 && ms < year_10000_ms; }

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(kortex::fuzz::text_of(data, size));
  const Version version = Version::find_in(text).value_or(oldest);
  (void)version.text();
  try {
    for (const ContainerView& view : views_of(text, "list the containers", version)) {
      require(!view.id.empty(), "a container has an id");
      require(is_date(view.created_ms) && is_date(view.started_ms), "a time is one");
      for (const kortex::Forward& forward : view.forwards)
        require(forward.port != 0 && forward.target != 0 && !forward.bind.empty(), "a forward is whole");
    }
  } catch (const kortex::Error& error) {
    require(error.code == KORTEX_E_BACKEND, "what is not understood is the backend's");
  }
  try {
    for (const std::string& name : image_names(text, version)) {
      require(full_image_name(name) == name, "a full name is full");
    }
  } catch (const kortex::Error& error) {
    require(error.code == KORTEX_E_BACKEND, "what is not understood is the backend's");
  }
  return 0;
}
