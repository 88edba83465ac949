#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "filters/matchers.h"
#include "xds/bootstrap_parse.h"

namespace remora::xds {
namespace {

using LayerProto = envoy::config::bootstrap::v3::RuntimeLayer;

// A value is a number, a text, a truth value, or fields of them.
void CheckValue(const std::string& key, const google::protobuf::Value& value,
                ParseContext& context) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kStructValue:
      for (const auto& [name, field] : value.struct_value().fields()) {
        CheckValue(absl::StrCat(key, ".", name), field, context);
      }
      break;
    case google::protobuf::Value::kListValue:
    case google::protobuf::Value::kNullValue:
    case google::protobuf::Value::KIND_NOT_SET:
      context.Error(absl::StrCat("Invalid runtime entry value for ", key));
      break;
    default:
      break;
  }
}

RuntimeLayerSource ParseLayer(const LayerProto& proto, ParseContext& context) {
  RuntimeLayerSource out;
  out.name = proto.name();
  switch (proto.layer_specifier_case()) {
    case LayerProto::kStaticLayer:
      out.kind = RuntimeLayerSource::Kind::kStatic;
      for (const auto& [key, value] : proto.static_layer().fields())
        CheckValue(key, value, context);
      out.values = Runtime::LayerFrom(proto.name(), proto.static_layer());
      break;
    case LayerProto::kDiskLayer:
      out.kind = RuntimeLayerSource::Kind::kDisk;
      out.symlink_root = proto.disk_layer().symlink_root();
      out.subdirectory = proto.disk_layer().subdirectory();
      out.append_service_cluster = proto.disk_layer().append_service_cluster();
      break;
    case LayerProto::kAdminLayer:
      out.kind = RuntimeLayerSource::Kind::kAdmin;
      break;
    case LayerProto::kRtdsLayer: {
      out.kind = RuntimeLayerSource::Kind::kRtds;
      ParseContext::Scope scope(context, "rtds_layer");
      ParseContext::Scope inner(context, "rtds_config");
      out.rtds_source = ParseConfigSource(proto.rtds_layer().rtds_config(), context);
      out.rtds_name = proto.rtds_layer().name();
      break;
    }
    case LayerProto::LAYER_SPECIFIER_NOT_SET:
      break;
  }
  return out;
}

}  // namespace

void ParseRuntime(const BootstrapProto& proto, Bootstrap* out, ParseContext& context) {
  ParseContext::Scope scope(context, "layered_runtime");
  absl::flat_hash_set<std::string> names;
  std::vector<Runtime::Layer> layers;
  int admin_layers = 0;
  for (int i = 0; i < proto.layered_runtime().layers_size(); ++i) {
    ParseContext::Scope item(context, "layers", i);
    RuntimeLayerSource layer = ParseLayer(proto.layered_runtime().layers(i), context);
    if (!names.insert(layer.name).second) {
      context.Error(absl::StrCat("Duplicate layer name: ", layer.name));
    }
    admin_layers += layer.kind == RuntimeLayerSource::Kind::kAdmin;
    layers.push_back(layer.values);
    layers.back().name = layer.name;
    out->runtime_layers.push_back(std::move(layer));
  }
  if (admin_layers > 1) {
    context.Error(
        "Too many admin layers specified in LayeredRuntime, at most one may be specified");
  }
  out->runtime = std::make_shared<const Runtime>(std::move(layers));
  context.set_runtime(out->runtime);
  SetRegexProgramLimit(
      static_cast<uint32_t>(out->runtime->Integer("re2.max_program_size.error_level", 100)));
}

}  // namespace remora::xds
