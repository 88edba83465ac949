#include "xds/runtime_folder.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/struct.pb.h"
#include "xds/config_text.h"
#include "xds/file.h"
#include "xds/parse_context.h"

namespace remora::xds {
namespace {

// Deeper than this a folder leads nowhere good (a link back to itself).
constexpr int kMostLevels = 16;

std::string WithoutComments(absl::string_view text) {
  std::string out;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::StartsWith(line, "#")) absl::StrAppend(&out, line, "\n");
  }
  absl::StripTrailingAsciiWhitespace(&out);
  return out;
}

// A number, a truth, a text, or a fraction with numerator and denominator.
google::protobuf::Value ValueOf(const std::string& text, const std::string& path) {
  google::protobuf::Value value;
  ParseContext context(ParseContext::Origin::kDynamic);
  SourceMap source(path);
  context.set_source(&source);
  ReadInto(TextFormat::kYaml, text, path, &value, context, &source);
  if (!context.ok() || value.kind_case() == google::protobuf::Value::KIND_NOT_SET ||
      value.kind_case() == google::protobuf::Value::kNullValue) {
    value.set_string_value(text);
  }
  return value;
}

absl::Status Walk(const std::filesystem::path& folder, const std::string& prefix, int level,
                  google::protobuf::Struct* out) {
  if (level > kMostLevels)
    return absl::InvalidArgumentError(absl::StrCat("Walk recursion depth exceeded ", kMostLevels));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const std::string key = prefix.empty() ? name : absl::StrCat(prefix, ".", name);
    if (entry.is_directory(error)) {
      absl::Status status = Walk(entry.path(), key, level + 1, out);
      if (!status.ok()) return status;
      continue;
    }
    if (!entry.is_regular_file(error)) continue;
    absl::StatusOr<std::string> text = ReadFile(entry.path().string());
    if (!text.ok()) return text.status();
    (*out->mutable_fields())[key] = ValueOf(WithoutComments(*text), entry.path().string());
  }
  if (error) return absl::InvalidArgumentError(error.message());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Runtime::Layer> ReadRuntimeFolder(const std::string& name, const std::string& path) {
  google::protobuf::Struct values;
  absl::Status status = Walk(path, "", 1, &values);
  if (!status.ok()) return status;
  return Runtime::LayerFrom(name, values);
}

}  // namespace remora::xds
