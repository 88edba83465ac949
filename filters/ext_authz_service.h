#ifndef REMORA_FILTERS_EXT_AUTHZ_SERVICE_H_
#define REMORA_FILTERS_EXT_AUTHZ_SERVICE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/api/filter.h"
#include "filters/formatter.h"
#include "filters/matchers.h"
#include "filters/metadata.h"

namespace envoy::config::core::v3 {
class GrpcService;
}
namespace envoy::extensions::filters::http::ext_authz::v3 {
class HttpService;
}
namespace envoy::type::matcher::v3 {
class ListStringMatcher;
}

namespace remora {

// Several string matchers, one of which is enough.
struct AnyOf {
  std::vector<StringMatcher> matchers;
  static absl::StatusOr<AnyOf> Parse(const envoy::type::matcher::v3::ListStringMatcher& proto);
  bool empty() const { return matchers.empty(); }
  bool Match(absl::string_view text) const;
};

// What an authorisation service said, whichever way it was asked.
struct AuthzAnswer {
  enum class Verdict : uint8_t { kOk, kDenied, kError };
  using Fields = std::vector<std::pair<std::string, std::string>>;

  Verdict verdict = Verdict::kError;
  // Of a refusal.
  int status = 403;
  std::string body;
  Fields denied_headers;  // fields of one name stay several
  // Of consent: what is done to the request ...
  Fields set;
  Fields add;
  Fields append;  // to fields that are there already
  std::vector<std::string> remove;
  Fields query_set;
  std::vector<std::string> query_remove;
  // ... and to the response.
  Fields response_add;
  Fields response_set;
  MetadataValue metadata;  // null: none
};

// What is asked about one request.
struct AuthzQuestion {
  FilterContext& context;
  const Headers& headers;
  const AnyOf& allowed;  // headers that the service may see; empty: the default
  const AnyOf& disallowed;
  absl::string_view body;
  bool has_body = false;  // a body was kept for the service
  bool partial_body = false;
  bool pack_as_bytes = false;
  bool include_certificate = false;
  bool include_tls_session = false;
  const std::vector<std::string>& metadata_namespaces;
  const std::vector<std::string>& route_metadata_namespaces;
  std::map<std::string, std::string> extensions;
};

// How an authorisation service is asked. Const and shared by workers.
class AuthzService {
 public:
  using Done = std::function<void(AuthzAnswer answer)>;
  virtual ~AuthzService() = default;
  // `done` is called once, later; dropping the handle cancels.
  virtual std::unique_ptr<SideCall> Ask(const AuthzQuestion& question, Done done) const = 0;

  static absl::StatusOr<std::shared_ptr<const AuthzService>> Parse(
      const envoy::extensions::filters::http::ext_authz::v3::HttpService& proto);
  static absl::StatusOr<std::shared_ptr<const AuthzService>> Parse(
      const envoy::config::core::v3::GrpcService& proto);
};

}  // namespace remora

#endif  // REMORA_FILTERS_EXT_AUTHZ_SERVICE_H_
