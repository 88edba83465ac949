#ifndef REMORA_XDS_HTTP_FILTERS_H_
#define REMORA_XDS_HTTP_FILTERS_H_

#include <google/protobuf/repeated_ptr_field.h>

#include <vector>

#include "xds/http_connection_manager.h"
#include "xds/parse_context.h"

namespace remora::xds {

// Parses a chain of HTTP filters (the connection manager's, an upgrade's):
// unknown ones are errors by name unless they are optional, and the terminal
// one has to be the last.
std::vector<HttpFilterConfig> ParseHttpFilters(
    const char* field,
    const google::protobuf::RepeatedPtrField<
        envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter>& list,
    ParseContext& context);

}  // namespace remora::xds

#endif  // REMORA_XDS_HTTP_FILTERS_H_
