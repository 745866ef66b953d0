/// What is said on a virtio port beside the session protocol's bytes; guest/bridge.c describes it, and is the other side.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace kortex::microvm {

inline constexpr char port_escape = '\xf5';

/// Appends `bytes` as they go over a port.
inline void append_escaped(std::string& out, std::string_view bytes) {
  for (;;) {
    const std::size_t plain = std::min(bytes.find(port_escape), bytes.size());
    out.append(bytes.substr(0, plain));
    if (plain == bytes.size()) return;
    out.append({port_escape, 'L'});
    bytes.remove_prefix(plain + 1);
  }
}

/// Reads what a guest says, which may be anything, in whatever pieces it comes.
class PortWords {
 public:
  /// Appends the session's bytes to `out`: never more than `bytes` has.
  void take(std::string_view bytes, std::string& out) {
    for (std::size_t at = 0; at < bytes.size();) {
      if (m_escaped) {
        m_escaped = bytes[at] == port_escape;
        if (bytes[at] == 'L') out += port_escape;
        if (bytes[at] == 'X') m_over = true;
        ++at;
        continue;
      }
      const std::size_t found = std::min(bytes.find(port_escape, at), bytes.size());
      out.append(bytes.substr(at, found - at));
      m_escaped = found < bytes.size();
      at = found + 1;
    }
  }

  /// The guest says that the session is over.
  [[nodiscard]] bool over() const { return m_over; }

 private:
  bool m_escaped = false, m_over = false;
};

}  // namespace kortex::microvm
