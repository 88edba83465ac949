#ifndef REMORA_FILTERS_EXT_PROC_MESSAGE_H_
#define REMORA_FILTERS_EXT_PROC_MESSAGE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "filters/api/filter.h"
#include "filters/ext_authz_service.h"

namespace envoy::config::core::v3 {
class HeaderMap;
class Metadata;
}  // namespace envoy::config::core::v3
namespace google::protobuf {
class Struct;
}

namespace remora::ext_proc {

// Parts of what a processor is told (envoy.service.ext_proc.v3). Threads: the stream's.

void FillHeaders(const Headers& headers, const AnyOf& forwarded, const AnyOf& withheld,
                 envoy::config::core::v3::HeaderMap* out);
void FillMetadata(const Metadata* metadata, const std::vector<std::string>& namespaces,
                  envoy::config::core::v3::Metadata* out);

// Whether a name of an attribute ("request.path") is known.
bool IsAttribute(absl::string_view name);
// What is known of the attributes now; those without a value are left out.
void FillAttributes(const std::vector<std::string>& names, FilterContext& context,
                    google::protobuf::Struct* out);

}  // namespace remora::ext_proc

#endif  // REMORA_FILTERS_EXT_PROC_MESSAGE_H_
