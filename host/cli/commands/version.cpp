#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/output/json.hpp"
#include "cli/product.hpp"

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  if (invocation.json()) {
    JsonText json;
    json.begin_object().member("version", product_version()).member("runtime_abi", abi_version()).end_object();
    invocation.out() << json.take();
    return 0;
  }
  invocation.out() << "kortex-cli " << product_version() << " (runtime ABI " << abi_version() << ")\n";
  return 0;
}

}  // namespace

extern const Command version_command;
constinit const Command version_command = {
    .verb = "version",
    .summary = "show the version of kortex-cli and of its runtime ABI",
    .run = run,
};

}  // namespace kortex::host
