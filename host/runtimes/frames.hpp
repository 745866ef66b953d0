/// What an operation's child tells its parent: tagged, length-prefixed binary frames, private to one binary
/// (both ends are the same program). The reader trusts nothing: the child has run a plugin in its address space.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace kortex::host {

enum class Frame : std::uint8_t {
  stage = 1,  ///< text: the plugin function that is called next
  log,        ///< i32 level, text
  progress,   ///< text phase, i64 done, i64 total, text message
  output,     ///< i32 stream, bytes
  instance,   ///< see write_instance
  failure,    ///< i32 code, text message, hint, detail: fail()
  json,       ///< text: result()
  value,      ///< bytes: what the body of the operation hands back
  question,   ///< bytes: ask(); the child waits for the answer
  error,      ///< i32 kind, text message, hint, detail: the host's own Error
  threw,      ///< text: an exception left the plugin
  started,    ///< i64 pid: a program in a process group of its own
  ended,      ///< i64 pid
  done,       ///< i32 status
};

inline constexpr std::size_t max_frame_size = 4 * 1024 * 1024;
inline constexpr std::size_t frame_header_size = sizeof(std::uint32_t) + sizeof(Frame);

class PayloadWriter {
 public:
  explicit PayloadWriter(std::string& out) : m_out(out) {}
  template <class Integer>
  PayloadWriter& number(Integer value) {
    static_assert(std::is_integral_v<Integer>);
    m_out.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  PayloadWriter& text(std::string_view text) {
    number(static_cast<std::uint32_t>(text.size()));
    m_out.append(text);
    return *this;
  }

 protected:
  std::string& m_out;
};

/// A payload with its header, complete when this is destroyed.
class FrameWriter : public PayloadWriter {
 public:
  FrameWriter(std::string& out, Frame tag) : PayloadWriter(out), m_start(out.size()) {
    m_out.append(sizeof(std::uint32_t), '\0');
    m_out.push_back(static_cast<char>(tag));
  }
  FrameWriter(const FrameWriter&) = delete;
  FrameWriter& operator=(const FrameWriter&) = delete;
  ~FrameWriter() {
    const auto size = static_cast<std::uint32_t>(m_out.size() - m_start - frame_header_size);
    std::memcpy(m_out.data() + m_start, &size, sizeof size);
  }

 private:
  std::size_t m_start;
};

/// Once something did not fit, everything reads as zero or empty, and ok() is false.
class FrameReader {
 public:
  explicit FrameReader(std::string_view payload) : m_rest(payload) {}
  template <class Integer>
  Integer number() {
    static_assert(std::is_integral_v<Integer>);
    Integer value{};
    if (m_rest.size() < sizeof value) {
      fail();
    } else {
      std::memcpy(&value, m_rest.data(), sizeof value);
      m_rest.remove_prefix(sizeof value);
    }
    return value;
  }
  std::string_view text() {
    const auto size = number<std::uint32_t>();
    if (size > m_rest.size()) {
      fail();
      return {};
    }
    const std::string_view text = m_rest.substr(0, size);
    m_rest.remove_prefix(size);
    return text;
  }
  [[nodiscard]] bool ok() const { return m_ok; }
  [[nodiscard]] bool at_end() const { return m_rest.empty(); }

 private:
  void fail() {
    m_ok = false;
    m_rest = {};
  }
  std::string_view m_rest;
  bool m_ok = true;
};

}  // namespace kortex::host
