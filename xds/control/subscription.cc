#include "xds/control/subscription.h"

namespace remora::control {

bool Subscription::Wants(absl::string_view name) const {
  return wildcard_ || names_.contains(name);
}

void Subscription::SetNames(const std::vector<std::string>& names) {
  std::set<std::string, std::less<>> wanted(names.begin(), names.end());
  bool wildcard = wanted.erase("*") > 0;
  if (names.empty() && full_set_ && !named_once_) wildcard = true;
  named_once_ |= !names.empty();
  bool more = !asked_ || (wildcard && !wildcard_);
  for (const std::string& name : wanted) more |= !names_.contains(name);
  asked_ = true;
  wildcard_ = wildcard;
  names_ = std::move(wanted);
  std::erase_if(told_, [this](const auto& t) { return !Wants(t.first); });
  if (more) {
    force_ = true;
    dirty_ = true;
  }
}

void Subscription::Change(const std::vector<std::string>& add,
                          const std::vector<std::string>& remove,
                          const std::map<std::string, std::string>& known) {
  if (!asked_) {
    asked_ = true;
    wildcard_ = full_set_ && add.empty();
    force_ = wildcard_;
    dirty_ = true;
    for (const auto& [name, version] : known) told_[name] = version;
  }
  for (const std::string& name : add) {
    if (name == "*") {
      force_ |= !wildcard_;
      wildcard_ = true;
      dirty_ = true;
      continue;
    }
    const bool had = !names_.insert(name).second;
    // Asking again means the client has lost it; what it says it still has
    // need not be repeated.
    if (had || !known.contains(name)) Owe(name);
  }
  for (const std::string& name : remove) {
    if (name == "*") {
      wildcard_ = false;
      continue;
    }
    names_.erase(name);
    owed_.erase(name);
    // Still wanted by the wildcard: the client has to hear that it stays.
    if (wildcard_) Owe(name);
  }
  std::erase_if(told_, [this](const auto& t) { return !Wants(t.first); });
}

void Subscription::Owe(const std::string& name) {
  dirty_ = true;
  if (spelling_ == Spelling::kSotw) {
    force_ = true;
  } else {
    owed_.insert(name);
  }
}

ResourceMap Subscription::Select(const ResourceMap& resources) const {
  if (wildcard_) return resources;
  ResourceMap selected;
  for (const std::string& name : names_) {
    auto found = resources.find(name);
    if (found != resources.end()) selected.insert(*found);
  }
  return selected;
}

Due Subscription::DueSotw(const ResourceMap& selected) const {
  Due due;
  bool changed = selected.size() != told_.size();
  for (const auto& [name, resource] : selected) {
    auto told = told_.find(name);
    changed |= told == told_.end() || told->second != resource->version;
    due.resources.emplace_back(name, resource);
  }
  // Where absence means nothing, an empty response would say nothing.
  due.any = (changed || force_) && (full_set_ || !selected.empty());
  return due;
}

Due Subscription::DueDelta(const ResourceMap& selected) const {
  Due due;
  for (const auto& [name, resource] : selected) {
    auto told = told_.find(name);
    if (told == told_.end() || told->second != resource->version || owed_.contains(name)) {
      due.resources.emplace_back(name, resource);
    }
  }
  for (const auto& [name, version] : told_) {
    if (!selected.contains(name)) due.removed.push_back(name);
  }
  for (const std::string& name : owed_) {
    if (!selected.contains(name) && !told_.contains(name)) {
      due.removed.push_back(name);
    }
  }
  due.any = force_ || !due.resources.empty() || !due.removed.empty();
  return due;
}

Due Subscription::FindDue(const ResourceMap& resources) {
  if (!asked_ || !dirty_) return {};
  const ResourceMap selected = Select(resources);
  Due due = spelling_ == Spelling::kSotw ? DueSotw(selected) : DueDelta(selected);
  if (!due.any) {
    dirty_ = false;
    force_ = false;
    if (selected.empty()) told_.clear();
    due = {};
  }
  return due;
}

std::vector<std::string> Subscription::Sent(const Due& due, std::string nonce) {
  std::vector<std::string> fresh;
  std::map<std::string, std::string, std::less<>> told;
  for (const auto& [name, resource] : due.resources) {
    auto before = told_.find(name);
    if (before == told_.end() || before->second != resource->version) {
      fresh.push_back(name);
    }
    told[name] = resource->version;
  }
  if (spelling_ == Spelling::kSotw) {
    told_ = std::move(told);
  } else {
    for (auto& [name, version] : told) told_[name] = std::move(version);
    for (const std::string& name : due.removed) told_.erase(name);
  }
  owed_.clear();
  force_ = false;
  dirty_ = false;
  open_ = true;
  nonce_ = std::move(nonce);
  return fresh;
}

}  // namespace remora::control
