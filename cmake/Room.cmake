# A room of the house: the static library responder_NAME from src/NAME, whose public headers are in
# include/responder/NAME. A room links only to rooms below it; this is where that is enforced.

add_library(responder_options INTERFACE)
target_include_directories(responder_options INTERFACE ${PROJECT_SOURCE_DIR}/include)
target_compile_options(responder_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual
  -Wcast-qual -Wimplicit-fallthrough $<$<BOOL:${RESPONDER_WERROR}>:-Werror>)
target_link_libraries(responder_options INTERFACE Threads::Threads)
if(RESPONDER_SANITIZE)
  target_compile_options(responder_options INTERFACE -fsanitize=${RESPONDER_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(responder_options INTERFACE -fsanitize=${RESPONDER_SANITIZE})
  # ConcurrentQueue's fences are outside what ThreadSanitizer understands; tests/support/tsan.supp names it.
  if(RESPONDER_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(responder_options INTERFACE -Wno-tsan)
  endif()
endif()

function(responder_room name)
  cmake_parse_arguments(arg "" "" "SOURCES;ROOMS;LIBRARIES;PUBLIC_LIBRARIES" ${ARGN})
  add_library(responder_${name} STATIC ${arg_SOURCES})
  target_include_directories(responder_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  list(TRANSFORM arg_ROOMS PREPEND responder_)
  target_link_libraries(responder_${name}
    PUBLIC responder_options ${arg_ROOMS} ${arg_PUBLIC_LIBRARIES}
    PRIVATE ${arg_LIBRARIES})
endfunction()
