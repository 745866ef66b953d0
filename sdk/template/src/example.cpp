// A runtime to start from: it keeps nothing but a state, in a file in the instance's directory.
// Replace what is done with the file by what your backend does.
#include <filesystem>
#include <fstream>
#include <string>

#include <kortex/runtime.hpp>

namespace {

class Example : public kortex::Runtime {
 public:
  static constexpr const char* license = "Apache-2.0";
  static std::vector<kortex::Option> options() {
    return {{"greeting", "what the agent is greeted with", KORTEX_OPT_STRING, 0, "hello"}};
  }

  kortex::Probe probe(kortex::Call&) override { return {"a file in the instance's directory", {}}; }

  kortex::Guarantees guarantees(kortex::Call&, const kortex::Workspace&) override {
    return {kortex::Isolation::none, KORTEX_GUARANTEE_NETWORK_ALLOW, {"everything: this runtime isolates nothing"}};
  }

  kortex::Instance create(kortex::Call& call, const kortex::Ref& ref, const kortex::Workspace& workspace) override {
    call.progress("create", workspace.options.get("greeting") + ", " + ref.name());
    if (!std::filesystem::exists(state_file(ref))) write_state(ref, "stopped");
    return read(ref);
  }

  kortex::Instance start(kortex::Call&, const kortex::Ref& ref, const kortex::Workspace&,
                         const std::vector<std::string>&) override {
    require(ref);
    write_state(ref, "running");
    return read(ref);
  }

  kortex::Instance stop(kortex::Call&, const kortex::Ref& ref, const kortex::StopMode&) override {
    require(ref);
    write_state(ref, "stopped");
    return read(ref);
  }

  void remove(kortex::Call&, const kortex::Ref& ref, kortex::RemoveMode mode) override {
    if (mode == kortex::RemoveMode::stopped_only && read(ref).state == kortex::State::running)
      throw kortex::Error(KORTEX_E_STATE, std::string("cannot remove '") + ref.name() + "': it is running");
    std::filesystem::remove(state_file(ref));
  }

  void inspect(kortex::Call& call, const std::vector<kortex::Ref>& refs) override {
    for (const kortex::Ref& ref : refs) call.emit(ref, read(ref));
  }

 private:
  static std::filesystem::path state_file(const kortex::Ref& ref) {
    return std::filesystem::path(ref.state_dir()) / "state";
  }
  static void write_state(const kortex::Ref& ref, const std::string& state) {
    std::ofstream file(state_file(ref));
    if (!(file << state << std::flush))
      throw kortex::Error(KORTEX_E_FAILED, "cannot write '" + state_file(ref).string() + "'");
  }
  static kortex::Instance read(const kortex::Ref& ref) {
    kortex::Instance instance;
    std::ifstream file(state_file(ref));
    std::string state;
    file >> state;
    instance.state = state == "running"   ? kortex::State::running
                     : state == "stopped" ? kortex::State::stopped
                                          : kortex::State::gone;
    return instance;
  }
  static void require(const kortex::Ref& ref) {
    if (read(ref).state == kortex::State::gone)
      throw kortex::Error(KORTEX_E_NOT_FOUND, std::string("no instance of '") + ref.name() + "'");
  }
};

}  // namespace

// The last argument lets shells complete the options without running the plugin; KORTEX_RUNTIME without it will do, too.
KORTEX_RUNTIME_MORE(Example, "example", KORTEX_RUNTIME_VERSION, "a runtime to start from", R"(,"options":{"greeting":[]})");
