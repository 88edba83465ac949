// Reads YAML into plain values and collects every mistake with file and line
// instead of stopping at the first. No exception of yaml-cpp leaves it.
#ifndef REMORA_XDS_CONTROL_YAML_READER_H_
#define REMORA_XDS_CONTROL_YAML_READER_H_

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "xds/control/services.h"

namespace remora::control {

// A node with the place it has in its file and in the document.
struct YamlValue {
  YAML::Node node;
  std::string path;  // "services.web.endpoints[1]"
};

class YamlReader {
 public:
  // `file` is how the text is called in messages.
  YamlReader(std::string file, std::vector<std::string>* mistakes)
      : file_(std::move(file)), mistakes_(mistakes) {}

  using Handler = std::function<void(const YamlValue&)>;
  struct Field {
    absl::string_view key;
    Handler read;
  };

  // The whole text as one document; nothing when it cannot be read (reported)
  // or is empty.
  std::optional<YamlValue> Document(const std::string& text);

  // A mapping whose keys are known: unknown and repeated ones are mistakes.
  void Fields(const YamlValue& value, const std::vector<Field>& fields);
  // A mapping whose keys are names: `read` gets each key, spelt correctly.
  void Names(const YamlValue& value,
             const std::function<void(const std::string& name, const YamlValue&)>& read);
  // A list; a lone value is a list of one.
  void List(const YamlValue& value, const Handler& read);

  void Text(const YamlValue& value, std::string* out);
  void Number(const YamlValue& value, uint32_t min, uint32_t max, uint32_t* out);
  // "250ms", "1.5s", "2m"; from `min` on.
  void Duration(const YamlValue& value, absl::Duration min, absl::Duration* out);
  void HostPort(const YamlValue& value, Address* out);
  // A DNS label, since names end up in SNI and SPIFFE ids.
  bool Name(const YamlValue& value, std::string* out);

  // "services.yaml:12: services.web: ..."
  std::string Message(const YamlValue& value, absl::string_view what) const;
  void Mistake(const YamlValue& value, absl::string_view what);

 private:
  bool Scalar(const YamlValue& value, absl::string_view what);
  // Calls `visit` for each pair whose key is a scalar not seen before.
  void Pairs(const YamlValue& value,
             const std::function<void(const std::string& key, const YamlValue&)>& visit);

  std::string file_;
  std::vector<std::string>* mistakes_;
};

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_YAML_READER_H_
