#include "cli/app.hpp"
#include "cli/environment.hpp"

int main(int argc, char** argv) {
  kortex::host::secure_standard_descriptors();
  return kortex::host::run(kortex::host::environment_of_process(argc, argv));
}
