#include "cli/app.hpp"

#include <new>
#include <system_error>

#include "cli/commands.hpp"
#include "cli/help.hpp"
#include "cli/invocation.hpp"
#include "cli/output/json.hpp"
#include "cli/output/stream.hpp"
#include "cli/parse.hpp"
#include "cli/reporter.hpp"

namespace kortex::host {
namespace {

constexpr int own_failure = 125;
constexpr int reader_gone = 141;

/// How the outcome of a failed command is told; known before the words have been understood.
struct Failure {
  const Environment& environment;
  bool json;

  int tell(const Error& error, Stream& out, Reporter& reporter) const {
    // What was said so far is no answer any more.
    out.discard();
    int status = static_cast<int>(error.kind());
    const Command* command = named_command(environment.args);
    if (command != nullptr && command->passes_status && error.kind() != ErrorKind::usage) status = own_failure;
    if (!json) {
      reporter.error(error);
      return status;
    }
    reporter.clear();
    JsonText document;
    document.begin_object().member("error", error.message()).end_object();
    try {
      out << document.take();
      out.flush();
    } catch (const Error& unwritten) {
      reporter.error(unwritten);
    } catch (const ReaderGone&) {
      return reader_gone;
    }
    return status;
  }
};

Reporter::Mode progress_mode(const Environment& environment, const Request& request, bool json) {
  const auto given = request.options.find("progress");
  const std::string how = given == request.options.end() ? "auto" : given->second.back();
  if (how == "json") return Reporter::Mode::json;
  if (how == "none") return Reporter::Mode::none;
  if (how == "plain") return Reporter::Mode::plain;
  if (json) return Reporter::Mode::none;
  return environment.err_tty ? Reporter::Mode::live : Reporter::Mode::plain;
}

std::string help_text(const Request& request) {
  if (request.command != nullptr) return help_of(*request.command);
  const Noun* noun = find_noun(request.noun);
  return noun != nullptr ? help_of(*noun) : overview();
}

int perform(const Environment& environment, const Request& request, Stream& out, Reporter& reporter) {
  if (request.what == Request::What::help) {
    out << help_text(request);
    out.flush();
    return 0;
  }
  Invocation invocation(environment, request, out, reporter);
  const int status = request.command->run(invocation);
  reporter.clear();
  out.flush();
  return status;
}

template <class Function>
int guarded(const Failure& failure, Stream& out, Reporter& reporter, Function function) {
  try {
    return function();
  } catch (const Error& error) {
    return failure.tell(error, out, reporter);
  } catch (const ReaderGone&) {
    return reader_gone;
  } catch (const std::system_error& error) {
    return failure.tell(Error(ErrorKind::failed, error.what()), out, reporter);
  } catch (const std::bad_alloc&) {
    return failure.tell(Error(ErrorKind::failed, "out of memory"), out, reporter);
  } catch (const std::exception& error) {
    return failure.tell(Error(ErrorKind::failed, std::string("internal error: ") + error.what(),
                              "this is a bug in kortex-cli; please report it with the command that you typed"),
                        out, reporter);
  }
}

}  // namespace

int run(const Environment& environment) {
  const Failure failure{environment, asks_for_json(environment.args)};
  Stream out(environment.out);
  Request request;
  Reporter early(environment.err, Reporter::Mode::none, !failure.json, environment.now_ms);
  const int refused = guarded(failure, out, early, [&] {
    if (environment.privileged)
      throw Error(ErrorKind::refused, "refusing to run with rights that the caller does not have: kortex-cli runs "
                                      "plugins, and must not be set-user-id or have file capabilities",
                  "chmod ug-s, or setcap -r, the installed file");
    if (environment.args.empty()) {
      (void)write_all(environment.err, overview());
      return static_cast<int>(ErrorKind::usage);
    }
    request = parse(environment.args);
    return 0;
  });
  if (refused != 0) return refused;

  Reporter reporter(environment.err, progress_mode(environment, request, failure.json), !failure.json,
                    environment.now_ms);
  return guarded(failure, out, reporter, [&] { return perform(environment, request, out, reporter); });
}

}  // namespace kortex::host
