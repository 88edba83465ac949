#include "xds/lb_labels.h"

#include <utility>

namespace remora::xds {
namespace {

const MetadataValue::Fields* FieldsOf(const Metadata& metadata) {
  const auto found = metadata.namespaces.find(kLbNamespace);
  return found == metadata.namespaces.end() ? nullptr : found->second.fields();
}

std::vector<std::vector<lb::Criterion>> FallbacksOf(const MetadataValue& value) {
  std::vector<std::vector<lb::Criterion>> out;
  if (value.list() == nullptr) return out;
  for (const MetadataValue& item : *value.list()) out.push_back(CriteriaOf(item));
  return out;
}

}  // namespace

std::vector<lb::Label> LabelsFrom(const Metadata& metadata) {
  std::vector<lb::Label> out;
  const MetadataValue::Fields* fields = FieldsOf(metadata);
  if (fields == nullptr) return out;
  for (const auto& [key, value] : *fields) {
    lb::Label label{key, value.ToJson(), std::nullopt};
    if (const auto* list = value.list()) {
      label.elements.emplace();
      for (const MetadataValue& item : *list) label.elements->push_back(item.ToJson());
    }
    out.push_back(std::move(label));
  }
  return out;
}

std::vector<lb::Criterion> CriteriaOf(const MetadataValue& fields) {
  std::vector<lb::Criterion> out;
  if (fields.fields() == nullptr) return out;
  for (const auto& [key, value] : *fields.fields()) out.push_back({key, value.ToJson()});
  return out;
}

std::shared_ptr<const lb::Criteria> CriteriaFrom(const Metadata& base, const Metadata& over) {
  MetadataValue::Fields merged;
  for (const Metadata* metadata : {&over, &base}) {
    if (const auto* fields = FieldsOf(*metadata)) {
      for (const auto& [key, value] : *fields) merged.emplace(key, value);
    }
  }
  if (merged.empty()) return nullptr;
  auto out = std::make_shared<lb::Criteria>();
  const auto list = merged.find(lb::Criteria::kFallbackList);
  if (list != merged.end()) out->fallbacks = FallbacksOf(list->second);
  out->all = CriteriaOf(MetadataValue(std::move(merged)));
  return out;
}

}  // namespace remora::xds
