#include <google/protobuf/any.pb.h>

#include "absl/strings/str_cat.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/config_text.h"
#include "xds/extension.h"
#include "xds/file.h"
#include "xds/resource_types.h"
#include "xds/type_registry.h"

namespace remora::xds {
namespace {

using Response = envoy::service::discovery::v3::DiscoveryResponse;
using Wrapper = envoy::service::discovery::v3::Resource;

// The resource within a discovery.v3.Resource, or `any` itself.
google::protobuf::Any Unwrapped(const google::protobuf::Any& any) {
  Wrapper wrapper;
  if (TypeName(any.type_url()) == wrapper.GetDescriptor()->full_name() &&
      wrapper.ParseFromString(any.value())) {
    return wrapper.resource();
  }
  return any;
}

FileResources::Item ParseItem(const google::protobuf::Any& any, int index,
                              const ResourceType& expected, const SourceMap& source,
                              std::vector<std::string>* warnings) {
  ParseContext context(ParseContext::Origin::kDynamic);
  context.set_source(&source);
  ParseContext::Scope scope(context, "resources", index);
  const Extension extension = ParseExtension("", any, context);
  FileResources::Item item{expected.name(extension.value), absl::UnknownError(""), extension.value};
  if (FindResourceType(extension.type_url) != &expected) {
    item.resource = absl::DataLossError(absl::StrCat("type URL ", extension.type_url,
                                                     " embedded in an individual Any does not "
                                                     "match the message-wide type URL ",
                                                     expected.type_url));
    return item;
  }
  item.resource = expected.parse(extension.value, context);
  for (const Finding& warning : context.warnings()) {
    warnings->push_back(context.Describe(warning));
  }
  return item;
}

}  // namespace

absl::StatusOr<FileResources> ReadResourceFile(const std::string& path,
                                               absl::string_view type_url) {
  const ResourceType* expected = FindResourceType(type_url);
  if (expected == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("unknown resource type ", type_url));
  }
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  ParseContext context(ParseContext::Origin::kDynamic);
  SourceMap source(path);
  context.set_source(&source);
  Response response;
  ReadInto(FormatOf(path), *text, path, &response, context, &source);
  if (!context.ok()) return context.status();
  FileResources out;
  out.version = response.version_info();
  for (const Finding& warning : context.warnings()) {
    out.warnings.push_back(context.Describe(warning));
  }
  for (int i = 0; i < response.resources_size(); ++i) {
    out.items.push_back(
        ParseItem(Unwrapped(response.resources(i)), i, *expected, source, &out.warnings));
  }
  return out;
}

}  // namespace remora::xds
