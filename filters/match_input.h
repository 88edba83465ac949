#ifndef REMORA_FILTERS_MATCH_INPUT_H_
#define REMORA_FILTERS_MATCH_INPUT_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"

namespace xds::core::v3 {
class TypedExtensionConfig;
}

namespace remora {

// What a matcher looks at: a request, or (without headers) a connection.
struct MatchSubject {
  const StreamInfo& info;
  const Headers* headers = nullptr;
  const Headers* response = nullptr;  // where there is one
};

// One value of a subject, as the inputs of the matching API name it: a header, a query parameter,
// a status, an address or port, a name of the TLS peer.
//
// Threads: const after Parse, shared.
class MatchInput {
 public:
  // Fails for inputs that are not known.
  static absl::StatusOr<MatchInput> Parse(const ::xds::core::v3::TypedExtensionConfig& proto);

  // The value; nothing when the subject has none. `scratch` holds it where it is not kept anywhere.
  std::optional<absl::string_view> Get(const MatchSubject& subject, std::string& scratch) const;
  // The address that the input stands for, or null.
  const Address* GetAddress(const MatchSubject& subject) const;

 private:
  enum class Kind {
    kRequestHeader,
    kQueryParameter,
    kDestinationIp,
    kDestinationPort,
    kSourceIp,
    kSourcePort,
    kDirectSourceIp,
    kSourceType,
    kServerName,
    kTransportProtocol,
    kUriSan,
    kDnsSan,
    kSubject,
    kResponseHeader,
    kStatus,
    kStatusClass,
  };

  Kind kind_ = Kind::kRequestHeader;
  std::string name_;  // of a header (lower-case) or a parameter
};

}  // namespace remora

#endif  // REMORA_FILTERS_MATCH_INPUT_H_
