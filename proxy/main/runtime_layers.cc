#include "proxy/main/runtime_layers.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/struct.pb.h"
#include "xds/runtime_folder.h"

namespace remora::proxy {
namespace {

using Kind = xds::RuntimeLayerSource::Kind;

}  // namespace

RuntimeLayers::RuntimeLayers(std::shared_ptr<const xds::Bootstrap> bootstrap, FileWatcher* files,
                             std::function<void()> changed)
    : bootstrap_(std::move(bootstrap)) {
  if (files == nullptr) return;
  for (const xds::RuntimeLayerSource& source : bootstrap_->runtime_layers) {
    if (source.kind == Kind::kDisk)
      watches_.push_back(files->Add(source.symlink_root, "", changed));
  }
}

absl::Status RuntimeLayers::Override(
    const std::vector<std::pair<std::string, std::string>>& values) {
  const auto& sources = bootstrap_->runtime_layers;
  if (std::none_of(sources.begin(), sources.end(),
                   [](const auto& source) { return source.kind == Kind::kAdmin; })) {
    return absl::InvalidArgumentError("No admin layer specified");
  }
  for (const auto& [key, value] : values) {
    if (value.empty()) {
      overrides_.erase(key);
    } else {
      overrides_[key] = value;
    }
  }
  return absl::OkStatus();
}

bool RuntimeLayers::AddFolder(const xds::RuntimeLayerSource& source,
                              std::vector<Runtime::Layer>* layers, Loaded* out) const {
  std::string path = absl::StrCat(source.symlink_root, "/", source.subdirectory);
  if (source.append_service_cluster) absl::StrAppend(&path, "/", bootstrap_->node.cluster);
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return false;
  absl::StatusOr<Runtime::Layer> layer = xds::ReadRuntimeFolder(source.name, path);
  if (!layer.ok()) {
    out->failed = true;
    out->errors.push_back(absl::StrCat("error loading runtime values for layer ", source.name,
                                       " from disk: ", std::string(layer.status().message())));
    return false;
  }
  layers->push_back(*std::move(layer));
  return true;
}

RuntimeLayers::Loaded RuntimeLayers::Load() const {
  Loaded out;
  out.overridden = !overrides_.empty();
  std::vector<Runtime::Layer> layers;
  for (const xds::RuntimeLayerSource& source : bootstrap_->runtime_layers) {
    switch (source.kind) {
      case Kind::kStatic:
        layers.push_back(source.values);
        break;
      case Kind::kDisk:
        out.folders += AddFolder(source, &layers, &out) ? 1 : 0;
        continue;
      case Kind::kAdmin: {
        google::protobuf::Struct proto;
        for (const auto& [key, value] : overrides_)
          (*proto.mutable_fields())[key].set_string_value(value);
        layers.push_back(Runtime::LayerFrom(source.name, proto));
        break;
      }
      case Kind::kRtds:
        layers.emplace_back();
        if (late_ == nullptr) break;
        if (const auto found = late_->find(source.rtds_name); found != late_->end())
          layers.back() = found->second->values;
        break;
    }
    layers.back().name = source.name;
  }
  out.runtime = std::make_shared<const Runtime>(std::move(layers));
  return out;
}

}  // namespace remora::proxy
