// The services file: YAML → `Services`. README.md describes the format.
//
// Every mistake of a text is found in one pass and reported with its file and
// line ("services.yaml:12: services.web.endpoints: ..."); unknown and repeated
// keys are mistakes too, because a misspelt `allow` must not pass.
#ifndef REMORA_XDS_CONTROL_SERVICES_YAML_H_
#define REMORA_XDS_CONTROL_SERVICES_YAML_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "xds/control/services.h"

namespace remora::control {

struct NamedText {
  std::string name;  // as it shall stand in messages
  std::string text;
};

struct ParsedServices {
  Services services;
  // What is allowed but surely not meant, e.g. a route to a service that does
  // not let the gateway in. Each line has file and line too.
  std::vector<std::string> warnings;
};

// Reads the texts as one: a service may stand in any of them, but in one only.
// The error holds one line per mistake.
absl::StatusOr<ParsedServices> ParseServices(const std::vector<NamedText>& texts);

// "10.0.0.1:80", "[::1]:80", "name:80".
absl::StatusOr<Address> ParseAddress(absl::string_view text);

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_SERVICES_YAML_H_
