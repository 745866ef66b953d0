// What our client makes of engines that are not on the machine: their exchanges are in recordings/.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>

#include "engine/api.hpp"
#include "engine/instance_view.hpp"
#include "recorded_engine.hpp"
#include "sandbox.hpp"

using namespace kortex;
using namespace kortex::engine;
using namespace kortex::test;

namespace {

namespace fs = std::filesystem;

using Exchanges = std::vector<boost::json::value>;

struct Recording {
  std::string name;
  std::uintmax_t size = 0;
  boost::json::value about;
  std::map<std::string, Exchanges> scenes;

  [[nodiscard]] std::string engine() const { return text_at(about, {"engine"}); }
  [[nodiscard]] bool is_recorded() const { return text_at(about, {"how"}) == "recorded"; }
  [[nodiscard]] bool has(const std::string& scene) const { return scenes.count(scene) != 0; }
};

std::vector<Recording> all_recordings() {
  std::vector<Recording> out;
  for (const fs::directory_entry& file : fs::directory_iterator(KORTEX_RECORDINGS)) {
    Recording recording;
    recording.name = file.path().filename().string();
    recording.size = file.file_size();
    std::ifstream in(file.path());
    for (std::string line; std::getline(in, line);) {
      boost::json::value value = boost::json::parse(line);
      if (recording.about.is_null())
        recording.about = std::move(value);
      else
        recording.scenes[text_at(value, {"scene"})].push_back(std::move(value));
    }
    out.push_back(std::move(recording));
  }
  std::sort(out.begin(), out.end(), [](const Recording& a, const Recording& b) { return a.name < b.name; });
  BOOST_REQUIRE(out.size() >= 2);
  return out;
}

boost::json::value at(const boost::json::value& exchange, const char* key) {
  const boost::json::value* found = find(exchange, {key});
  return found == nullptr ? boost::json::value() : *found;
}

std::string body_text(const boost::json::value& body) {
  return body.is_null() ? std::string() : body.is_string() ? std::string(body.get_string()) : boost::json::serialize(body);
}

std::string answer_of(const boost::json::value& exchange) {
  const auto status = static_cast<int>(number_at(exchange, {"status"}));
  std::string head = "HTTP/1.1 " + std::to_string(status) + " X\r\n";
  for (const auto& [name, value] : exchange.at("headers").as_object())
    head += std::string(name) + ": " + std::string(value.as_string()) + "\r\n";
  const std::string body = body_text(at(exchange, "answer"));
  if (status != 101 && status != 204 && status != 304) head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  // A stream behind a 101 ends at once; closing it is ours to do.
  return head + "\r\n" + body;
}

/// What the last of kortex-cli's connections in that scene was used for.
Exchanges talk(const Recording& recording, const std::string& scene) {
  const Exchanges& all = recording.scenes.at(scene);
  const auto is_ping = [](const boost::json::value& exchange) { return text_at(exchange, {"target"}) == "/_ping"; };
  const auto last = std::find_if(all.rbegin(), all.rend(), is_ping);
  if (last != all.rend()) return Exchanges(std::prev(last.base()), all.end());
  // Asked by the recorder, which knew what it talks to.
  Exchanges out = talk(recording, "look");
  out.erase(std::find_if(out.begin(), out.end(), [](const boost::json::value& exchange) {
    const std::string target = text_at(exchange, {"target"});
    return target != "/_ping" && target != "/version";
  }), out.end());
  out.insert(out.end(), all.begin(), all.end());
  return out;
}

/// The engine of one scene; at the end, what was asked must be what was asked then.
class Replay {
 public:
  Replay(const Recording& recording, const std::string& scene) : Replay(recording, talk(recording, scene)) {}
  Replay(const Recording& recording, Exchanges exchanges) : m_name(recording.engine()), m_exchanges(std::move(exchanges)) {
    std::vector<std::string> answers;
    for (const boost::json::value& exchange : m_exchanges) answers.push_back(answer_of(exchange));
    m_engine = std::make_unique<RecordedEngine>((m_sandbox / "s").string(), std::move(answers));
    api = std::make_unique<Api>(m_call, Address{m_name, m_engine->path(), "", ""});
  }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  ~Replay() {
    const std::vector<std::string> requests = m_engine->requests();
    BOOST_TEST(requests.size() == m_exchanges.size());
    for (std::size_t i = 0; i < std::min(requests.size(), m_exchanges.size()); ++i) {
      const std::string line = requests[i].substr(0, requests[i].find(" HTTP/1.1\r\n"));
      BOOST_TEST(line == text_at(m_exchanges[i], {"method"}) + " " + text_at(m_exchanges[i], {"target"}));
      const std::string sent = requests[i].substr(requests[i].find("\r\n\r\n") + 4), then = body_text(at(m_exchanges[i], "body"));
      BOOST_TEST((sent.empty() ? boost::json::value() : boost::json::parse(sent)) == (then.empty() ? boost::json::value() : boost::json::parse(then)));
    }
  }

  /// The `nth` exchange whose target contains `part`.
  [[nodiscard]] const boost::json::value& asked(const std::string& part, int nth = 0) const {
    for (const boost::json::value& exchange : m_exchanges)
      if (text_at(exchange, {"target"}).find(part) != std::string::npos && nth-- == 0) return exchange;
    throw std::out_of_range("no request of " + part);
  }
  /// The container that the scene is about.
  [[nodiscard]] std::string container(int nth = 0) const {
    const std::string target = text_at(asked("/containers/", nth), {"target"});
    const std::size_t begin = target.find("/containers/") + 12;
    return target.substr(begin, target.find_first_of("/?", begin) - begin);
  }
  [[nodiscard]] std::string create(const boost::json::value& exchange) {
    const std::string target = text_at(exchange, {"target"});
    return api->create("create it", target.substr(target.find('/', 1)), at(exchange, "body"));
  }
  [[nodiscard]] Instance inspected(const std::string& id) { return from_inspect(api->inspect(id)); }

  const Call& call() const { return m_call; }
  std::unique_ptr<Api> api;

 private:
  std::string m_name;
  Exchanges m_exchanges;
  Sandbox m_sandbox;
  FakeCall m_fake;
  Call m_call = m_fake.call();
  std::unique_ptr<RecordedEngine> m_engine;
};

Error error_of(const std::function<void()>& what) {
  try {
    what();
  } catch (const Error& error) {
    return error;
  }
  return {KORTEX_OK, "nothing was thrown"};
}

/// For every engine that has that scene.
void each(const std::string& scene, const std::function<void(const Recording&, Replay&)>& test) {
  int tested = 0;
  for (const Recording& recording : all_recordings()) {
    if (!recording.has(scene)) continue;
    BOOST_TEST_CONTEXT(recording.name) {
      Replay replay(recording, scene);
      test(recording, replay);
      ++tested;
    }
  }
  BOOST_TEST(tested >= 2);
}

Instance with_key(const std::vector<Instance>& all, const std::string& begin) {
  for (const Instance& one : all)
    if (one.key.rfind(begin, 0) == 0) return one;
  BOOST_ERROR("no instance of " + begin);
  return {};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(recordings)

BOOST_AUTO_TEST_CASE(each_says_where_it_comes_from) {
  for (const Recording& recording : all_recordings()) {
    BOOST_TEST_CONTEXT(recording.name) {
      const std::string how = text_at(recording.about, {"how"});
      BOOST_TEST((how == "recorded" || how == "written"));
      BOOST_TEST(recording.name.rfind(recording.engine() + "-", 0) == 0u);
      for (const char* key : {"engine", "version", "api", "oldest_api", "date", "by"}) BOOST_TEST(!text_at(recording.about, {key}).empty(), key);
      BOOST_TEST(recording.size < 60'000u);
      for (const char* scene : {"look", "init", "start", "show-ended", "list", "stop", "show-gone", "remove", "missing", "twice", "exec",
                                "paused", "ended", "ending", "dying", "broken", "versions"})
        BOOST_TEST((!recording.is_recorded() || recording.has(scene)), scene);
    }
  }
}

BOOST_AUTO_TEST_CASE(speaks_what_each_engine_accepts) {
  each("look", [](const Recording& recording, Replay& replay) {
    BOOST_TEST(replay.api->version() == text_at(recording.about, {"version"}));
    BOOST_TEST(replay.api->has_libpod() == (recording.engine() == "podman"));
    BOOST_TEST(replay.api->api_version() == negotiated("1.44", text_at(recording.about, {"api"}), text_at(recording.about, {"oldest_api"})));
    if (recording.engine() == "docker") {
      const boost::json::value info = replay.api->ask("look at it", "GET", "/info");
      BOOST_TEST(flag_at(info, {"MemoryLimit"}));
      BOOST_TEST(flag_at(info, {"PidsLimit"}));
    }
  });
}

BOOST_AUTO_TEST_CASE(creates_a_container_that_is_not_there_yet) {
  each("init", [](const Recording& recording, Replay& replay) {
    const boost::json::value& creation = replay.asked("/containers/create");
    const std::string key = text_at(creation, {"body", recording.engine() == "docker" ? "Labels" : "labels", "io.kortex.key"});
    BOOST_TEST(key.rfind("kortex-shop-", 0) == 0u);
    BOOST_TEST(replay.api->list("io.kortex.key=" + key).as_array().empty());
    if (recording.engine() == "docker") (void)replay.api->ask("look at it", "GET", "/info");
    BOOST_TEST(!replay.api->image("localhost/kortex-test:1").is_null());
    const std::string id = replay.create(creation);
    BOOST_TEST(id.size() == 64u);
    const Instance made = replay.inspected(id);
    BOOST_TEST((made.state == State::created));
    BOOST_TEST(made.id == id);
    BOOST_TEST(made.key == key);
    BOOST_TEST(made.created_ms > 0);
    BOOST_TEST(made.started_ms == 0);
    BOOST_TEST(made.pid == 0);
    BOOST_TEST(made.exit_code == -1);
    BOOST_TEST(made.forwards.empty());
  });
}

BOOST_AUTO_TEST_CASE(starts_it_and_sees_where_its_port_went) {
  each("start", [](const Recording&, Replay& replay) {
    const std::string id = replay.container();
    BOOST_TEST((replay.inspected(id).state == State::created));
    replay.api->start("start it", id);
    const Instance running = replay.inspected(id);
    BOOST_TEST((running.state == State::running));
    BOOST_TEST(running.pid > 0);
    BOOST_TEST(running.started_ms >= running.created_ms);
    BOOST_TEST(running.finished_ms == 0);
    BOOST_TEST(running.exit_code == -1);
    BOOST_REQUIRE(running.forwards.size() == 1u);
    BOOST_TEST(running.forwards[0].target == 8080);
    BOOST_TEST(running.forwards[0].port > 1024);
    BOOST_TEST(running.forwards[0].bind == "127.0.0.1");
  });
}

BOOST_AUTO_TEST_CASE(an_ended_agent_keeps_its_status) {
  each("show-ended", [](const Recording&, Replay& replay) {
    const Instance ended = replay.inspected(replay.container());
    BOOST_TEST((ended.state == State::stopped));
    BOOST_TEST(ended.exit_code == 5);
    BOOST_TEST(ended.pid == 0);
    BOOST_TEST(ended.finished_ms >= ended.started_ms);
    BOOST_TEST(ended.started_ms > 0);
    BOOST_TEST(ended.forwards.empty());
  });
}

BOOST_AUTO_TEST_CASE(lists_what_runs_and_what_has_ended) {
  each("list", [](const Recording& recording, Replay& replay) {
    std::vector<Instance> all;
    const boost::json::value entries = replay.api->list("io.kortex.key");
    for (const boost::json::value& entry : entries.as_array())
      all.push_back(recording.engine() == "podman" ? from_libpod_list(entry) : from_docker_list(entry));
    BOOST_TEST(all.size() == 2u);
    const Instance shop = with_key(all, "kortex-shop-"), till = with_key(all, "kortex-till-");
    BOOST_TEST((shop.state == State::running));
    BOOST_TEST(shop.exit_code == -1);
    BOOST_REQUIRE(shop.forwards.size() == 1u);
    BOOST_TEST(shop.forwards[0].target == 8080);
    BOOST_TEST(shop.forwards[0].bind == "127.0.0.1");
    BOOST_TEST((till.state == State::stopped));
    BOOST_TEST(till.exit_code == 5);
    BOOST_TEST(till.forwards.empty());
    BOOST_TEST(till.created_ms > 0);
  });
}

BOOST_AUTO_TEST_CASE(stops_it) {
  each("stop", [](const Recording&, Replay& replay) {
    const std::string id = replay.container();
    BOOST_TEST((replay.inspected(id).state == State::running));
    replay.api->stop("stop it", id, 10);
    const Instance stopped = replay.inspected(id);
    BOOST_TEST((stopped.state == State::stopped));
    BOOST_TEST(stopped.finished_ms > stopped.started_ms);
    BOOST_TEST(stopped.exit_code >= 0);
    BOOST_TEST(stopped.forwards.empty());
  });
}

BOOST_AUTO_TEST_CASE(one_that_somebody_removed_is_gone) {
  each("show-gone", [](const Recording&, Replay& replay) {
    BOOST_TEST(replay.api->inspect(replay.container()).is_null());
    const std::string target = text_at(replay.asked("filters="), {"target"});
    const std::size_t begin = target.find("kortex-till-");
    BOOST_TEST(replay.api->list("io.kortex.key=" + target.substr(begin, target.find('%', begin) - begin)).as_array().empty());
  });
}

BOOST_AUTO_TEST_CASE(removes_one_that_runs) {
  each("remove", [](const Recording&, Replay& replay) {
    const std::string id = replay.container();
    BOOST_TEST((replay.inspected(id).state == State::running));
    replay.api->remove("remove it", id);
    const std::string target = text_at(replay.asked("/images/"), {"target"});
    const std::size_t begin = target.find("/images/") + 8;
    BOOST_TEST(replay.api->image(target.substr(begin, target.rfind('/') - begin)).is_null());
  });
}

BOOST_AUTO_TEST_CASE(what_is_missing_is_not_found) {
  each("missing", [](const Recording& recording, Replay& replay) {
    const std::string who = recording.engine();
    const auto is_missing = [&](const std::function<void()>& what) {
      const Error error = error_of(what);
      BOOST_TEST(error.code == KORTEX_E_NOT_FOUND);
      BOOST_TEST(std::string(error.what()).find("cannot do it: " + who + ": ") == 0u);
    };
    BOOST_TEST(replay.api->inspect("nobody").is_null());
    is_missing([&] { replay.api->start("do it", "nobody"); });
    is_missing([&] { replay.api->stop("do it", "nobody", 1); });
    is_missing([&] { replay.api->kill("do it", "nobody"); });
    replay.api->remove("do it", "nobody");
    is_missing([&] { (void)replay.api->exec("do it", "nobody", {{"Cmd", boost::json::array{"true"}}, {"AttachStdout", true}}); });
    BOOST_TEST(replay.api->image("localhost/nothing:1").is_null());
    const Error error = error_of([&] { (void)replay.create(replay.asked("/containers/create")); });
    BOOST_TEST(error.code == KORTEX_E_NOT_FOUND);
    BOOST_TEST(std::string(error.what()).find("localhost/nothing:1") != std::string::npos);
  });
}

BOOST_AUTO_TEST_CASE(doing_it_twice_is_an_error_only_where_it_matters) {
  each("twice", [](const Recording&, Replay& replay) {
    BOOST_TEST(replay.create(replay.asked("/containers/create")).size() == 64u);
    const Error taken = error_of([&] { (void)replay.create(replay.asked("/containers/create", 1)); });
    BOOST_TEST(taken.code == KORTEX_E_EXISTS);
    BOOST_TEST(std::string(taken.what()).find("already in use") != std::string::npos);
    replay.api->kill("kill it", "busy");  // which does not run
    replay.api->start("start it", "busy");
    replay.api->start("start it", "busy");
  });
}

BOOST_AUTO_TEST_CASE(programs_end_with_their_status) {
  each("exec", [](const Recording& recording, Replay& replay) {
    const auto run = [&](int nth) {
      const boost::json::value body = at(replay.asked("/containers/busy/exec", nth), "body");
      std::string id;
      {
        const Api::ExecStream exec = replay.api->exec("run it", "busy", body);
        BOOST_TEST(static_cast<bool>(exec.stream.socket));
        id = exec.id;
      }
      return replay.api->exec_exit_code(id);
    };
    BOOST_TEST(run(0) == 3);
    // One that is not in the image: podman has always said 127, docker says so since 28.
    const int missing = run(1);
    BOOST_TEST(missing == (recording.engine() == "podman" || recording.name >= "docker-28" ? 127 : 126));
  });
}

BOOST_AUTO_TEST_CASE(a_paused_one_is_in_the_wrong_state_to_start) {
  each("paused", [](const Recording&, Replay& replay) {
    (void)replay.api->ask("pause it", "POST", "/containers/busy/pause");
    const Instance paused = replay.inspected("busy");
    BOOST_TEST((paused.state == State::paused));
    BOOST_TEST(paused.pid > 0);
    BOOST_TEST(error_of([&] { replay.api->start("start it", "busy"); }).code == KORTEX_E_STATE);
    replay.api->unpause("wake it", "busy");
  });
}

BOOST_AUTO_TEST_CASE(nothing_runs_in_one_that_has_ended) {
  each("ended", [](const Recording&, Replay& replay) {
    replay.api->stop("stop it", "busy", 1);
    replay.api->stop("stop it", "busy", 1);
    const Error error = error_of([&] { (void)replay.api->exec("run it", "busy", {{"Cmd", boost::json::array{"true"}}, {"AttachStdout", true}}); });
    BOOST_TEST(error.code == KORTEX_E_STATE);
    BOOST_TEST(std::string(error.what()).find("running") != std::string::npos);
    replay.api->remove("remove it", "busy");
  });
}

BOOST_AUTO_TEST_CASE(a_program_that_is_not_in_the_image_is_named) {
  each("broken", [](const Recording& recording, Replay& replay) {
    const Error error = error_of([&] { replay.api->start("start it", "broken"); });
    BOOST_TEST(error.code == KORTEX_E_BACKEND);
    BOOST_TEST(std::string(error.what()).find("cannot start it: " + recording.engine() + ": ") == 0u);
    BOOST_TEST(std::string(error.what()).find("/nothing") != std::string::npos);
    BOOST_TEST(std::string(error.what()).find('\n') == std::string::npos);
  });
}

BOOST_AUTO_TEST_CASE(an_end_is_seen_with_its_status_and_not_before) {
  std::set<std::string> words;
  for (const char* scene : {"ending", "dying"})
    each(scene, [&](const Recording& recording, Replay& replay) {
      std::vector<State> states;
      for (const boost::json::value& exchange : recording.scenes.at(scene)) {
        words.insert(text_at(exchange, {"answer", "State", "Status"}));
        const Instance seen = replay.inspected(scene);
        BOOST_TEST((seen.exit_code == 137) == (seen.state == State::stopped));
        BOOST_TEST((seen.finished_ms > seen.started_ms) == (seen.state == State::stopped));
        states.push_back(seen.state);
      }
      BOOST_TEST((states.front() == State::running));
      BOOST_TEST((states.back() == State::stopped));
      BOOST_TEST((std::find(states.begin(), states.end(), State::unknown) == states.end()));
    });
  // Podman tells of what is between: "stopping" while it waits for the end, "stopped" before it has cleaned up.
  BOOST_TEST(words.count("stopping") == 1u);
  BOOST_TEST(words.count("stopped") == 1u);
}

BOOST_AUTO_TEST_CASE(a_version_that_an_engine_does_not_speak_is_refused_in_its_words) {
  for (const Recording& recording : all_recordings()) {
    if (!recording.has("versions")) continue;
    BOOST_TEST_CONTEXT(recording.name) {
      Replay replay(recording, recording.scenes.at("versions"));
      std::error_code error;
      Connection connection(connect_unix(replay.api->socket(), error));
      const boost::json::value about = replay.api->parsed(connection.exchange(replay.call(), {"GET", "/version", ""}));
      BOOST_TEST(text_at(about, {"ApiVersion"}) == text_at(recording.about, {"api"}));
      BOOST_TEST(text_at(about, {"MinAPIVersion"}) == text_at(recording.about, {"oldest_api"}));
      const Exchanges& all = recording.scenes.at("versions");
      for (std::size_t i = 1; i < all.size(); ++i) {
        const Response response = connection.exchange(replay.call(), {"GET", text_at(all[i], {"target"}), ""});
        // Podman takes any number.
        BOOST_TEST(response.status == (recording.engine() == "docker" ? 400u : 200u));
        if (response.status == 200) continue;
        const Error refusal = error_of([&] { replay.api->refuse("list containers", response); });
        BOOST_TEST(std::string(refusal.what()).find("cannot list containers: docker: client version ") == 0u);
        BOOST_TEST(refusal.code == KORTEX_E_BACKEND);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
