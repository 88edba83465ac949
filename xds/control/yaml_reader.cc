#include "xds/control/yaml_reader.h"

#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "xds/control/services_yaml.h"

namespace remora::control {
namespace {

bool IsLabel(absl::string_view name) {
  if (name.empty() || name.size() > 63 || name.front() == '-' || name.back() == '-') {
    return false;
  }
  for (char c : name) {
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '-') {
      return false;
    }
  }
  return true;
}

std::string Join(const std::string& path, const std::string& key) {
  return path.empty() ? key : absl::StrCat(path, ".", key);
}

}  // namespace

std::optional<YamlValue> YamlReader::Document(const std::string& text) {
  try {
    YAML::Node root = YAML::Load(text);
    if (!root.IsDefined() || root.IsNull()) return std::nullopt;
    return YamlValue{root, ""};
  } catch (const YAML::Exception& e) {
    mistakes_->push_back(absl::StrCat(file_, ":", e.mark.line + 1, ": ", e.msg));
    return std::nullopt;
  }
}

void YamlReader::Pairs(const YamlValue& value,
                       const std::function<void(const std::string&, const YamlValue&)>& visit) {
  if (value.node.IsNull()) return;
  if (!value.node.IsMap()) {
    Mistake(value, "expected a mapping (KEY: VALUE)");
    return;
  }
  std::set<std::string> seen;
  for (const auto& pair : value.node) {
    const YamlValue key{pair.first, value.path};
    if (!pair.first.IsScalar()) {
      Mistake(key, "a key must be a plain word");
      continue;
    }
    const std::string name = pair.first.Scalar();
    const std::string path = Join(value.path, name);
    if (!seen.insert(name).second) {
      Mistake({pair.first, path}, "stands here a second time");
      continue;
    }
    visit(name, {pair.second, path});
  }
}

void YamlReader::Fields(const YamlValue& value, const std::vector<Field>& fields) {
  Pairs(value, [&](const std::string& key, const YamlValue& field) {
    for (const Field& known : fields) {
      if (known.key == key) return known.read(field);
    }
    Mistake(field, absl::StrCat("unknown key; known here: ",
                                absl::StrJoin(fields, ", ", [](std::string* out, const Field& f) {
                                  absl::StrAppend(out, f.key);
                                })));
  });
}

void YamlReader::Names(const YamlValue& value,
                       const std::function<void(const std::string&, const YamlValue&)>& read) {
  Pairs(value, [&](const std::string& key, const YamlValue& entry) {
    if (!IsLabel(key)) {
      Mistake(entry,
              "a name is made of lower-case letters, digits and hyphens, "
              "63 at most");
      return;
    }
    read(key, entry);
  });
}

void YamlReader::List(const YamlValue& value, const Handler& read) {
  if (value.node.IsNull()) return;
  if (!value.node.IsSequence()) return read(value);
  for (size_t i = 0; i < value.node.size(); ++i) {
    read({value.node[i], absl::StrCat(value.path, "[", i, "]")});
  }
}

bool YamlReader::Scalar(const YamlValue& value, absl::string_view what) {
  if (value.node.IsScalar() && !value.node.Scalar().empty()) return true;
  Mistake(value, absl::StrCat("expected ", what));
  return false;
}

void YamlReader::Text(const YamlValue& value, std::string* out) {
  if (Scalar(value, "a text")) *out = value.node.Scalar();
}

void YamlReader::Number(const YamlValue& value, uint32_t min, uint32_t max, uint32_t* out) {
  const std::string range = absl::StrCat("a whole number from ", min, " to ", max);
  if (!Scalar(value, range)) return;
  uint32_t number;
  if (!absl::SimpleAtoi(value.node.Scalar(), &number) || number < min || number > max) {
    Mistake(value, absl::StrCat("expected ", range, ", not '", value.node.Scalar(), "'"));
    return;
  }
  *out = number;
}

void YamlReader::Duration(const YamlValue& value, absl::Duration min, absl::Duration* out) {
  if (!Scalar(value, "a duration like 250ms, 5s or 1m")) return;
  absl::Duration duration;
  if (!absl::ParseDuration(value.node.Scalar(), &duration)) {
    Mistake(value, absl::StrCat("expected a duration like 250ms, 5s or 1m, not '",
                                value.node.Scalar(), "'"));
    return;
  }
  if (duration < min || duration > absl::Hours(24 * 365)) {
    Mistake(value,
            absl::StrCat("must be ", absl::FormatDuration(min), " or more, and less than a year"));
    return;
  }
  *out = duration;
}

void YamlReader::HostPort(const YamlValue& value, Address* out) {
  if (!Scalar(value, "an address, HOST:PORT")) return;
  absl::StatusOr<Address> address = ParseAddress(absl::string_view(value.node.Scalar()));
  if (!address.ok()) {
    Mistake(value, address.status().message());
    return;
  }
  *out = *std::move(address);
}

bool YamlReader::Name(const YamlValue& value, std::string* out) {
  if (!Scalar(value, "a name")) return false;
  if (!IsLabel(value.node.Scalar())) {
    Mistake(value, absl::StrCat("'", value.node.Scalar(), "' is no name"));
    return false;
  }
  *out = value.node.Scalar();
  return true;
}

std::string YamlReader::Message(const YamlValue& value, absl::string_view what) const {
  return absl::StrCat(file_, ":", value.node.Mark().line + 1, ": ",
                      value.path.empty() ? "" : absl::StrCat(value.path, ": "), what);
}

void YamlReader::Mistake(const YamlValue& value, absl::string_view what) {
  mistakes_->push_back(Message(value, what));
}

}  // namespace remora::control
