/// Finds the keys that leave a session in what the user types. Included by <kortex/session.hpp>.
#ifndef KORTEX_SESSION_KEYS_HPP
#define KORTEX_SESSION_KEYS_HPP

#include <cstddef>
#include <string>
#include <utility>

namespace kortex::session {

/// Feed what was read, cut anywhere; what belongs to the program comes back. The first bytes of the sequence are
/// held while they may still turn out to be it; release() passes them on when the user pauses (ctrl-p is
/// a key of its own in every shell), and the sequence can nevertheless be completed afterwards.
///
/// A program that has switched on an extended keyboard protocol gets control keys as escape sequences
/// (ESC [ 112 ; 5 u, or ESC [ 27 ; 5 ; 112 ~): those are recognised too, but never held, since ESC begins
/// every function key.
class DetachKeys {
 public:
  explicit DetachKeys(std::string keys) : m_keys(std::move(keys)) {
    for (const char key : m_keys) {
      const int code = static_cast<unsigned char>(key);
      if (code < 1 || code > 26) {
        m_kitty.clear();
        m_xterm.clear();
        break;
      }
      m_kitty += "\033[" + std::to_string(code + 96) + ";5u";
      m_xterm += "\033[27;5;" + std::to_string(code + 96) + "~";
    }
  }

  /// True: the user leaves; whatever follows is nobody's.
  bool feed(const char* data, std::size_t size, std::string& passed_on) {
    for (std::size_t i = 0; i < size && !m_keys.empty(); ++i) {
      if (advance(m_kitty, m_kitty_matched, data[i]) || advance(m_xterm, m_xterm_matched, data[i])) return true;
      m_matched += data[i];
      // the longest tail of what has come that may still become the sequence
      while (!m_matched.empty() && m_keys.compare(0, m_matched.size(), m_matched) != 0) drop_first(passed_on);
      if (m_matched.size() == m_keys.size()) return true;
    }
    if (m_keys.empty()) passed_on.append(data, size);
    return false;
  }

  /// Bytes are being held.
  [[nodiscard]] bool holds() const { return m_released < m_matched.size(); }
  void release(std::string& passed_on) {
    passed_on.append(m_matched, m_released, std::string::npos);
    m_released = m_matched.size();
  }

 private:
  void drop_first(std::string& passed_on) {
    if (m_released > 0)
      --m_released;
    else
      passed_on += m_matched[0];
    m_matched.erase(0, 1);
  }
  static bool advance(const std::string& sequence, std::size_t& matched, char c) {
    if (sequence.empty()) return false;
    if (c != sequence[matched]) matched = 0;  // ESC occurs in it only at the start of a key
    if (c == sequence[matched]) ++matched;
    return matched == sequence.size();
  }

  std::string m_keys, m_kitty, m_xterm, m_matched;
  std::size_t m_released = 0;  // of m_matched: already passed on
  std::size_t m_kitty_matched = 0, m_xterm_matched = 0;
};

}  // namespace kortex::session
#endif
