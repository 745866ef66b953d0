/// A host's side of a call that writes down what the plugin did.
#pragma once

#include <kortex/runtime.h>

#include <string>
#include <vector>

namespace kortex::test {

struct RecordingCall {
  struct Failure {
    kortex_status code;
    std::string message, hint, detail;
  };
  std::vector<Failure> failures;
  std::vector<std::string> results, progress;
  std::string output;
  struct Emitted {
    kortex_state state;
    std::string key, id, name, details;
    int exit_code;
    std::vector<std::uint16_t> ports;
  };
  std::vector<Emitted> emitted;
  bool cancelled = false, refuses_more = false;
  kortex_status run_status = KORTEX_OK;

  kortex_host host{};
  kortex_call call{};

  RecordingCall() {
    host.struct_size = sizeof host;
    host.state_dir = "/nowhere";
    host.log = [](const kortex_host*, kortex_log_level, const char*) {};
    call.struct_size = sizeof call;
    call.host = &host;
    call.ctx = this;
    call.deadline_ms = -1;
    call.cancel_fd = call.resize_fd = call.signal_fd = -1;
    call.fail = [](const kortex_call* c, kortex_status code, const char* message, const char* hint, const char* detail) {
      of(c).failures.push_back({code, message, text(hint), text(detail)});
      return code;
    };
    call.is_cancelled = [](const kortex_call* c) -> std::int32_t { return of(c).cancelled ? 1 : 0; };
    call.progress = [](const kortex_call* c, const char* phase, std::int64_t, std::int64_t, const char* message) {
      of(c).progress.push_back(std::string(phase) + ": " + text(message));
    };
    call.emit = [](const kortex_call* c, const kortex_instance* i) -> std::int32_t {
      Emitted& out = of(c).emitted.emplace_back();
      out.state = i->state;
      out.exit_code = i->exit_code;
      out.key = text(i->key);
      out.id = text(i->id);
      out.name = text(i->name);
      out.details = text(i->details_json);
      for (std::uint32_t n = 0; n < i->forward_count; ++n) out.ports.push_back(i->forwards[n]->port);
      return of(c).refuses_more ? 1 : 0;
    };
    call.output = [](const kortex_call* c, kortex_stream, const void* data, std::size_t size) -> std::int32_t {
      of(c).output.append(static_cast<const char*>(data), size);
      return of(c).refuses_more ? 1 : 0;
    };
    call.result = [](const kortex_call* c, const char* json) { of(c).results.emplace_back(json); };
    call.run = [](const kortex_call* c, const kortex_process*, kortex_process_result* out) {
      if (of(c).run_status != KORTEX_OK) return c->fail(c, of(c).run_status, "the host's reason", nullptr, nullptr);
      out->exit_code = 7;
      out->out = "a\0b";
      out->out_size = 3;
      return kortex_status{KORTEX_OK};
    };
  }
  RecordingCall(const RecordingCall&) = delete;
  RecordingCall& operator=(const RecordingCall&) = delete;

 private:
  static RecordingCall& of(const kortex_call* c) { return *static_cast<RecordingCall*>(c->ctx); }
  static std::string text(const char* t) { return t == nullptr ? "(null)" : t; }
};

}  // namespace kortex::test
