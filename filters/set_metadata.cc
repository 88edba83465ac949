// envoy.filters.http.set_metadata: fixed dynamic metadata for every request.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "envoy/extensions/filters/http/set_metadata/v3/set_metadata.pb.h"
#include "filters/makers.h"
#include "filters/metadata.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::set_metadata::v3;

enum Stat : uint32_t { kOverwriteDenied };
constexpr FilterStat kStats[] = {{"overwrite_denied"}};

struct Entry {
  std::string space;
  MetadataValue value;  // a struct
  bool overwrite = false;
};

// Structs are merged, lists appended, anything else is replaced.
void Merge(const MetadataValue& from, MetadataValue* into) {
  if (from.fields() != nullptr && into->fields() != nullptr) {
    for (const auto& [key, value] : *from.fields()) {
      Merge(value, &(*into->mutable_fields())[key]);
    }
    return;
  }
  if (from.list() != nullptr && into->list() != nullptr) {
    MetadataValue::List both = *into->list();
    both.insert(both.end(), from.list()->begin(), from.list()->end());
    *into = MetadataValue(std::move(both));
    return;
  }
  *into = from;
}

class SetMetadataFilter final : public HttpFilter {
 public:
  explicit SetMetadataFilter(const std::vector<Entry>* entries) : entries_(entries) {}

  Verdict OnRequestHeaders(Headers&, bool) override {
    auto& namespaces = context_->dynamic_metadata().namespaces;
    for (const Entry& entry : *entries_) {
      const auto found = namespaces.find(entry.space);
      if (found == namespaces.end()) {
        namespaces.emplace(entry.space, entry.value);
      } else if (entry.overwrite) {
        Merge(entry.value, &found->second);
      } else {
        context_->Count(kOverwriteDenied);
      }
    }
    return Verdict::kContinue;
  }

 private:
  const std::vector<Entry>* entries_;
};

class SetMetadataFactory final : public FilterFactory {
 public:
  explicit SetMetadataFactory(std::vector<Entry> entries) : entries_(std::move(entries)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(SetMetadataFilter))) SetMetadataFilter(&entries_);
  }
  absl::Span<const FilterStat> stats() const override { return kStats; }
  absl::string_view stat_prefix() const override { return "set_metadata."; }

 private:
  std::vector<Entry> entries_;
};

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::Config> proto = DecodeConfig<pb::Config>(config);
  if (!proto.ok()) return proto.status();
  std::vector<Entry> entries;
  // The older spelling of one entry.
  if (!proto->metadata_namespace().empty()) {
    entries.push_back({proto->metadata_namespace(), MetadataValue::From(proto->value()), true});
  }
  for (const pb::Metadata& entry : proto->metadata()) {
    if (entry.has_typed_value()) return NotSupported("set_metadata", "typed_value");
    entries.push_back(
        {entry.metadata_namespace(), MetadataValue::From(entry.value()), entry.allow_overwrite()});
  }
  return std::make_shared<SetMetadataFactory>(std::move(entries));
}

}  // namespace

HttpFilterType SetMetadataFilterType() {
  return {"envoy.extensions.filters.http.set_metadata.v3.Config", &Make, {}, nullptr};
}

}  // namespace remora
