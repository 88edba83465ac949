#ifndef REMORA_XDS_ACCESS_LOG_H_
#define REMORA_XDS_ACCESS_LOG_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "filters/matchers.h"
#include "filters/metadata.h"
#include "filters/runtime.h"
#include "xds/extension.h"
#include "xds/parse_context.h"

namespace envoy::config::accesslog::v3 {
class AccessLog;
class AccessLogFilter;
}  // namespace envoy::config::accesslog::v3
namespace envoy::config::core::v3 {
class SubstitutionFormatString;
}

namespace remora {
class Formatter;
}

namespace remora::xds {

// A predicate on a finished exchange; a tree. proxy/stream/access_log evaluates it.
struct AccessLogFilter {
  enum class Kind {
    kStatusCode,  // op, value
    kDuration,    // op, value in milliseconds
    kNotHealthCheck,
    kTraceable,
    kRuntime,       // fraction, runtime_key, independent_randomness
    kAnd,           // children
    kOr,            // children
    kHeader,        // header
    kResponseFlag,  // names; empty: any flag
    kGrpcStatus,    // codes, exclude
    kMetadata,      // metadata, match_if_key_not_found
    kLogType,       // names, exclude
    kExtension,     // extension (CEL and others)
  };
  enum class Op { kEq, kGe, kLe, kNe };

  Kind kind = Kind::kAnd;
  Op op = Op::kEq;
  uint32_t value = 0;
  std::string runtime_key;
  FractionalPercent fraction;
  bool independent_randomness = false;
  std::vector<AccessLogFilter> children;
  std::vector<HeaderMatcher> header;  // one
  std::vector<std::string> names;
  std::vector<int> codes;
  bool exclude = false;
  std::vector<MetadataMatcher> metadata;  // none or one
  bool match_if_key_not_found = true;
  Extension extension;

  static AccessLogFilter Parse(const envoy::config::accesslog::v3::AccessLogFilter& proto,
                               ParseContext& context);
};

// How a line or a body is written.
struct Format {
  enum class Kind { kDefault, kText, kJson };
  Kind kind = Kind::kDefault;
  std::string text;    // kText: the template
  MetadataValue json;  // kJson: a struct whose leaves are templates
  bool omit_empty_values = false;
  bool sort_properties = true;
  std::string content_type;  // local replies
  // Compiled; null for kDefault and for a text without operators.
  std::shared_ptr<const Formatter> formatter;

  static Format Parse(const envoy::config::core::v3::SubstitutionFormatString& proto,
                      ParseContext& context);
};

struct AccessLog {
  enum class Sink { kFile, kStdout, kStderr, kOther };

  std::string name;
  Sink sink = Sink::kOther;
  std::string path;                               // kFile
  Format format;                                  // file and streams
  Extension extension;                            // kOther: gRPC, OpenTelemetry ...
  std::shared_ptr<const AccessLogFilter> filter;  // null: everything

  static AccessLog Parse(const envoy::config::accesslog::v3::AccessLog& proto,
                         ParseContext& context);
};

}  // namespace remora::xds

#endif  // REMORA_XDS_ACCESS_LOG_H_
