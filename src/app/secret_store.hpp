// The file of webhook secrets, one a line, that `webhook register` writes and serve reads (Config::secret_store).
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

#include "responder/base/error.hpp"
#include "responder/base/secret.hpp"

namespace responder::app {

// Whether store_secret() can do its work.
Result<void> check_store(const std::filesystem::path& store);

// Adds the secret, after those that are there: while a secret is being exchanged, both count. Readable for its owner
// only: the owner it has, else that of the folder. False: it was there. On disk when this returns.
Result<bool> store_secret(const std::filesystem::path& store, const Secret& secret);

// Takes out those that `is_in_use` does not know. How many that were.
Result<std::size_t> forget_secrets(const std::filesystem::path& store,
                                   const std::function<bool(std::string_view)>& is_in_use);

}  // namespace responder::app
