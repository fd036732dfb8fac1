# Lets an editable install rebuild when it is imported, after the installer has removed the environment of the first build.
#
# pybind11 is kept in the build folder. CMake and Ninja must be there to stay: if they are that environment's, this stops, and
# the result is an editable install that does not rebuild (tool.scikit-build.overrides in pyproject.toml).
# Included between find_package(Python) and find_package(pybind11).

find_program(make_program NAMES "${CMAKE_MAKE_PROGRAM}" NO_CACHE)
foreach(tool IN ITEMS "${CMAKE_COMMAND}" "${make_program}" "${Python_EXECUTABLE}")
  if(tool MATCHES "/pip-build-env-|/builds-v0/")  # what pip and uv call it
    message(FATAL_ERROR "Rebuilding at import needs CMake 3.25 or later and Ninja on the path.")
  endif()
endforeach()

find_path(pybind11_home share/cmake/pybind11/pybind11Config.cmake
          PATHS ${CMAKE_PREFIX_PATH} PATH_SUFFIXES pybind11 NO_DEFAULT_PATH NO_CACHE)
if(pybind11_home)
  file(COPY "${pybind11_home}/" DESTINATION "${CMAKE_CURRENT_BINARY_DIR}/pybind11")
endif()
list(PREPEND CMAKE_PREFIX_PATH "${CMAKE_CURRENT_BINARY_DIR}")
