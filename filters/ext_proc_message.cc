#include "filters/ext_proc_message.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "envoy/config/core/v3/base.pb.h"
#include "filters/grpc_status.h"
#include "filters/metadata.h"
#include "filters/request_parts.h"

namespace remora::ext_proc {
namespace {

using google::protobuf::Value;

void ToProto(const MetadataValue& value, Value* out) {
  if (const bool* flag = value.boolean()) {
    out->set_bool_value(*flag);
  } else if (const double* number = value.number()) {
    out->set_number_value(*number);
  } else if (const std::string* text = value.text()) {
    out->set_string_value(*text);
  } else if (const auto* list = value.list()) {
    out->mutable_list_value();
    for (const MetadataValue& item : *list) ToProto(item, out->mutable_list_value()->add_values());
  } else if (const auto* fields = value.fields()) {
    auto& members = *out->mutable_struct_value()->mutable_fields();
    for (const auto& [key, member] : *fields) ToProto(member, &members[key]);
  } else {
    out->set_null_value(google::protobuf::NULL_VALUE);
  }
}

using Result = std::optional<MetadataValue>;

Result Text(absl::string_view text) {
  if (text.empty()) return std::nullopt;
  return MetadataValue(std::string(text));
}

Result Number(double number) { return MetadataValue(number); }

Result RequestHeader(FilterContext& context, HeaderId id) {
  const Headers* request = context.request_headers();
  return request == nullptr ? std::nullopt : Text(request->Value(id));
}

const TlsFacts* TlsOf(FilterContext& context) {
  const ConnectionInfo* connection = context.info().downstream;
  return connection == nullptr ? nullptr : connection->tls;
}

std::string ShortFlags(const ResponseFlags& flags) {
  std::string out;
  flags.ForEach([&](ResponseFlag flag) {
    absl::StrAppend(&out, out.empty() ? "" : ",",
                    kResponseFlagShortNames[static_cast<size_t>(flag)]);
  });
  return out;
}

struct Attribute {
  absl::string_view name;
  Result (*get)(FilterContext& context);
};

constexpr Attribute kAttributes[] = {
    {"request.path", [](FilterContext& c) { return RequestHeader(c, HeaderId::kPath); }},
    {"request.url_path",
     [](FilterContext& c) {
       const Headers* request = c.request_headers();
       return request == nullptr ? std::nullopt : Text(PathOnly(request->path()));
     }},
    {"request.query",
     [](FilterContext& c) {
       const Headers* request = c.request_headers();
       return request == nullptr ? std::nullopt : Text(QueryOnly(request->path()));
     }},
    {"request.host", [](FilterContext& c) { return RequestHeader(c, HeaderId::kAuthority); }},
    {"request.scheme", [](FilterContext& c) { return RequestHeader(c, HeaderId::kScheme); }},
    {"request.method", [](FilterContext& c) { return RequestHeader(c, HeaderId::kMethod); }},
    {"request.referer", [](FilterContext& c) { return RequestHeader(c, HeaderId::kReferer); }},
    {"request.useragent", [](FilterContext& c) { return RequestHeader(c, HeaderId::kUserAgent); }},
    {"request.id", [](FilterContext& c) { return RequestHeader(c, HeaderId::kXRequestId); }},
    {"request.protocol", [](FilterContext& c) { return Text(ProtocolName(c.info().protocol)); }},
    {"request.size",
     [](FilterContext& c) { return Number(static_cast<double>(c.info().bytes_received)); }},
    {"response.code",
     [](FilterContext& c) {
       const Headers* response = c.response_headers();
       return response == nullptr ? std::nullopt : Number(response->status());
     }},
    {"response.code_details",
     [](FilterContext& c) { return Text(c.info().response_code_details); }},
    {"response.flags", [](FilterContext& c) { return Text(ShortFlags(c.info().flags)); }},
    {"response.grpc_status", [](FilterContext& c) { return Number(GrpcStatusOf(c.info())); }},
    {"source.address", [](FilterContext& c) { return Text(c.info().remote.ToString()); }},
    {"source.port", [](FilterContext& c) { return Number(c.info().remote.port()); }},
    {"destination.address",
     [](FilterContext& c) {
       const ConnectionInfo* connection = c.info().downstream;
       return connection == nullptr ? std::nullopt : Text(connection->local.ToString());
     }},
    {"destination.port",
     [](FilterContext& c) {
       const ConnectionInfo* connection = c.info().downstream;
       return connection == nullptr ? std::nullopt : Number(connection->local.port());
     }},
    {"connection.id",
     [](FilterContext& c) {
       const ConnectionInfo* connection = c.info().downstream;
       return connection == nullptr ? std::nullopt : Number(static_cast<double>(connection->id));
     }},
    {"connection.mtls",
     [](FilterContext& c) -> Result {
       const TlsFacts* tls = TlsOf(c);
       return MetadataValue(tls != nullptr && tls->peer_certificate_presented);
     }},
    {"connection.requested_server_name",
     [](FilterContext& c) {
       const ConnectionInfo* connection = c.info().downstream;
       return connection == nullptr ? std::nullopt : Text(connection->requested_server_name);
     }},
    {"connection.tls_version",
     [](FilterContext& c) {
       const TlsFacts* tls = TlsOf(c);
       return tls == nullptr ? std::nullopt : Text(tls->version);
     }},
    {"connection.subject_peer_certificate",
     [](FilterContext& c) {
       const TlsFacts* tls = TlsOf(c);
       return tls == nullptr ? std::nullopt : Text(tls->peer_subject);
     }},
    {"connection.uri_san_peer_certificate",
     [](FilterContext& c) {
       const TlsFacts* tls = TlsOf(c);
       return tls == nullptr || tls->peer_uri_sans.empty() ? std::nullopt
                                                           : Text(tls->peer_uri_sans.front());
     }},
    {"upstream.address", [](FilterContext& c) { return Text(c.info().upstream_host); }},
    {"xds.cluster_name",
     [](FilterContext& c) {
       return Text(c.info().upstream_cluster_raw.empty() ? c.cluster_name()
                                                         : c.info().upstream_cluster_raw);
     }},
    {"xds.route_name", [](FilterContext& c) { return Text(c.info().route_name); }},
    {"xds.virtual_host_name", [](FilterContext& c) { return Text(c.info().virtual_host_name); }},
};

}  // namespace

void FillHeaders(const Headers& headers, const AnyOf& forwarded, const AnyOf& withheld,
                 envoy::config::core::v3::HeaderMap* out) {
  const auto add = [&](const Header& header) {
    if (!forwarded.empty() && !forwarded.Match(header.name)) return;
    if (withheld.Match(header.name)) return;
    auto* field = out->add_headers();
    field->set_key(std::string(header.name));
    field->set_raw_value(std::string(header.value));
  };
  headers.ForEachPseudo(add);
  headers.ForEach(add);
}

void FillMetadata(const Metadata* metadata, const std::vector<std::string>& namespaces,
                  envoy::config::core::v3::Metadata* out) {
  if (metadata == nullptr) return;
  for (const std::string& name : namespaces) {
    const auto found = metadata->namespaces.find(name);
    if (found == metadata->namespaces.end()) continue;
    Value value;
    ToProto(found->second, &value);
    *(*out->mutable_filter_metadata())[name].mutable_fields() = value.struct_value().fields();
  }
}

bool IsAttribute(absl::string_view name) {
  for (const Attribute& attribute : kAttributes) {
    if (attribute.name == name) return true;
  }
  return false;
}

void FillAttributes(const std::vector<std::string>& names, FilterContext& context,
                    google::protobuf::Struct* out) {
  for (const std::string& name : names) {
    for (const Attribute& attribute : kAttributes) {
      if (attribute.name != name) continue;
      if (const Result value = attribute.get(context)) {
        ToProto(*value, &(*out->mutable_fields())[name]);
      }
    }
  }
}

}  // namespace remora::ext_proc
