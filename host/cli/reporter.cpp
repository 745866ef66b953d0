#include "cli/reporter.hpp"

#include <sys/ioctl.h>

#include <algorithm>

#include "cli/output/json.hpp"
#include "cli/output/stream.hpp"
#include "cli/output/text.hpp"

namespace kortex::host {
namespace {

constexpr std::size_t detail_lines = 20;
constexpr std::int64_t repaint_ms = 100;

std::size_t columns_of(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string amount(const Progress& progress) {
  if (progress.total > 0 && progress.total >= progress.done)
    return std::to_string(progress.done * 100 / progress.total) + "% of " + size_text(progress.total);
  return progress.done > 0 ? size_text(progress.done) : std::string();
}

}  // namespace

void Reporter::line(std::string_view text) {
  clear();
  // Nobody can be told that stderr cannot be written.
  (void)write_all(m_fd, std::string(text) + '\n');
}

void Reporter::event(std::string_view name, std::string_view message) {
  JsonText json(JsonText::Style::one_line);
  json.begin_object().member("event", name).member("version", std::int64_t{1}).member("message", message).end_object();
  (void)write_all(m_fd, json.take());
}

void Reporter::error(const Error& error) {
  std::string text = "kortex-cli: error: " + printable(error.message());
  const std::vector<std::string> detail = lines_of(error.detail());
  // The end of a backend's output is where it says why.
  const std::size_t skipped = detail.size() > detail_lines ? detail.size() - detail_lines : 0;
  if (skipped != 0) text += "\n  (" + std::to_string(skipped) + " lines left out)";
  for (std::size_t i = skipped; i < detail.size(); ++i) text += "\n  " + printable(detail[i]);
  line(text);
  hint(error.hint());
}

void Reporter::warning(std::string_view text) {
  if (m_mode == Mode::json) return event("warning", text);
  line("kortex-cli: warning: " + printable(text));
}

void Reporter::notice(std::string_view text) {
  if (m_mode == Mode::json) return event("notice", text);
  if (m_notices) line("kortex-cli: " + printable(text));
}

void Reporter::hint(std::string_view text) {
  if (!text.empty()) line("hint: " + printable(text));
}

void Reporter::clear() {
  if (!m_painted) return;
  m_painted = false;
  (void)write_all(m_fd, "\r\033[K");
}

bool Reporter::repaint() {
  if (m_painted) paint();
  return m_painted;
}

void Reporter::paint() {
  const Progress& progress = m_last;
  const std::int64_t now = m_now_ms();
  if (m_painted && now - m_painted_at < repaint_ms) return;
  std::string text = printable(progress.phase);
  if (!progress.message.empty()) text += ": " + printable(progress.message);
  if (const std::string bytes = amount(progress); !bytes.empty()) text += "  " + bytes;
  text += "  " + elapsed_text(now - m_phase_since);
  const std::size_t columns = columns_of(m_fd);
  while (display_width(text) >= columns) {
    // One whole character off the end.
    std::size_t end = text.size() - 1;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text.resize(end);
  }
  (void)write_all(m_fd, "\r" + text + "\033[K");
  m_painted = true;
  m_painted_at = now;
}

void Reporter::progress(const std::string& runtime, const Progress& progress) {
  const bool next_step = progress.phase != m_last.phase;
  if (next_step) m_phase_since = m_now_ms();
  const bool new_text = next_step || progress.message != m_last.message;
  m_last = progress;
  switch (m_mode) {
    case Mode::none: return;
    case Mode::live: return paint();
    case Mode::plain: {
      if (!next_step) return;
      std::string text = "kortex-cli: " + printable(progress.phase);
      if (!progress.message.empty()) text += ": " + printable(progress.message);
      return line(text);
    }
    case Mode::json: {
      const std::int64_t now = m_now_ms();
      if (!new_text && progress.done != progress.total && now - m_painted_at < repaint_ms) return;
      m_painted_at = now;
      JsonText json(JsonText::Style::one_line);
      json.begin_object()
          .member("event", "progress")
          .member("version", std::int64_t{1})
          .member("runtime", runtime)
          .member("phase", progress.phase)
          .member("done", progress.done);
      if (progress.total >= 0)
        json.member("total", progress.total);
      else
        json.key("total").null();
      json.member("message", progress.message).end_object();
      (void)write_all(m_fd, json.take());
    }
  }
}

}  // namespace kortex::host
