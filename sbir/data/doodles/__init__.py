from sbir.data.doodles.sheet import contact_sheet as contact_sheet
from sbir.data.doodles.write import VERSION as VERSION
from sbir.data.doodles.write import is_written as is_written
from sbir.data.doodles.write import write_doodles as write_doodles
