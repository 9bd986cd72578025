// Runs a target over files and folders of inputs, without libFuzzer: what was found once is tried by every build.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "fuzz.hpp"

namespace fs = std::filesystem;

int main(int count, char** arguments) {
  std::size_t inputs = 0;
  const auto run = [&](const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(stream), {}};
    std::printf("%s\n", file.filename().c_str());
    std::fflush(stdout);  // so that the last line names the culprit
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(content.data()), content.size());
    ++inputs;
  };
  for (int i = 1; i < count; ++i) {
    if (fs::is_directory(arguments[i])) {
      for (const auto& entry : fs::directory_iterator(arguments[i])) run(entry.path());
    } else if (fs::exists(arguments[i])) {
      run(arguments[i]);
    }
  }
  std::printf("%zu inputs\n", inputs);
  return inputs > 0 ? 0 : 1;
}
