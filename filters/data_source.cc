#include "filters/data_source.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/base.pb.h"

namespace remora {

absl::StatusOr<std::string> ReadDataSource(const envoy::config::core::v3::DataSource& source) {
  using Source = envoy::config::core::v3::DataSource;
  switch (source.specifier_case()) {
    case Source::kInlineString:
      return source.inline_string();
    case Source::kInlineBytes:
      return source.inline_bytes();
    case Source::kFilename: {
      std::ifstream file(source.filename(), std::ios::binary);
      if (!file) return absl::InvalidArgumentError("Invalid path: " + source.filename());
      std::ostringstream text;
      text << file.rdbuf();
      return text.str();
    }
    case Source::kEnvironmentVariable: {
      const char* value = std::getenv(source.environment_variable().c_str());
      if (value == nullptr) {
        return absl::InvalidArgumentError(
            absl::StrCat("Environment variable doesn't exist: ", source.environment_variable()));
      }
      return std::string(value);
    }
    case Source::SPECIFIER_NOT_SET:
      break;
  }
  return std::string();
}

}  // namespace remora
